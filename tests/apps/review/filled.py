"""A review database filled by hand, and the page served over it by a real process."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from apps.review.access import Gate
from apps.review.settings import Settings, load_settings
from tasks.reviews import reviewers
from tasks.reviews.database import Database
from tasks.reviews.kinds import Kind, Role
from tasks.reviews.tables import Annotation, Assignment, Batch, Generation, Item, Prompt, Reviewer, Shown
from tasks.telemetry import OFF

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECRET = "a secret of the tests, forty characters or so"
ANSWERS = {"choice": 2, "ranking": 4, "rating": 1, "correction": 1}
START_S = 60

STORIES = (
    "Once there was a small owl named Pip. Pip could not sleep at night, and that is bad luck for an owl, for at "
    'night the others fly. "I am tired when you are awake," said Pip.\n\nSo his mother flew with him at noon. The '
    "sun was warm on the barn. They saw the hens, the red tractor and the girl with the bucket, and not one other "
    'owl in all the sky.\n\n"It is all ours," said Pip, and he looked at it for a long time. That evening he slept '
    "before the moon was up, and his mother told nobody.",
    "Mara had a kite with a long tail. The wind took it over the wall and into the garden of Mr. Ode, who never "
    'spoke to anybody. Mara stood at his gate and counted to ten. Then she rang.\n\nMr. Ode came out with the kite '
    'in his arms as if it were a cat. "It has hurt its wing," he said. They mended it with tape at his kitchen '
    "table, and he spoke all the time: of kites, and of the sea, where the wind is bigger.\n\nOn Sunday the kite "
    "came over the wall again. It may be that Mara let go of it.",
    "The bus was late. Ben sat on the bench and a snail sat on the bench. Ben said hello. The snail said nothing, "
    "for snails do not. When the bus came the snail had gone as far as the B that somebody had cut into the wood, "
    "and Ben thought that it was a good way for one morning.",
    "There was a pot that sang when the soup was done. One day it sang and there was no soup in it. Everybody "
    "looked. In the pot there sat a mouse, and the mouse was crying, for it had fallen in. They lifted it out with "
    "the big spoon. The pot was quiet then, and it has sung no wrong song since.",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Filling:
    """One item: its kind, what was asked, and its answers."""

    kind: Kind
    prompt: str = "Write a short story with the words owl, noon, moon."
    document: str = ""
    answers: Sequence[str] = STORIES
    task: str = "story"


def fill(database: Database, items: Sequence[Filling], *, batch: str = "first", model: str = "finetuned") -> None:
    """Publishes items, each to be answered once."""
    with database.session() as session:
        session.add(Batch(id=batch, source="labelled", settings={}, quota=len(items), published_at=NOW))
        session.flush()
        for number, item in enumerate(items):
            session.add_all(_rows(batch, number, item, model))
            session.flush()
            session.add(Assignment(item_id=f"{batch}/{number}", slot="1"))


def _rows(batch: str, number: int, item: Filling, model: str) -> list[Any]:
    name = f"{batch}/{number}"
    prompt = Prompt(
        id=name, kind=item.task, text=item.prompt, document=item.document, cluster=name, split="train", added_at=NOW
    )
    texts = item.answers[: ANSWERS[item.kind]]
    made = [
        Generation(id=f"{name}-{at}", prompt_id=name, judged_item=f"{name}-{at}", text=text, model=model, decoding={})
        for at, text in enumerate(texts)
    ]
    shown = [Shown(item_id=name, place=at, generation_id=f"{name}-{at}") for at in range(len(texts))]
    row = Item(
        id=name, batch_id=batch, position=number, kind=item.kind, prompt_id=name, judge={"judge": "secret-judge"}
    )
    return [prompt, *made, row, *shown]


def invite(database: Database, settings: Settings, name: str, role: Role = "reviewer") -> str:
    """A new person's link."""
    with database.session() as session:
        return Gate(settings).invite_link(reviewers.add(session, name, role, NOW))


def rows(database: Database, *, name: str | None = None) -> list[Annotation]:
    """All annotations in the order of their making."""
    with database.reading() as session:
        query = session.query(Annotation).join(Annotation.reviewer).order_by(Annotation.id)
        return query.filter(Reviewer.name == name).all() if name else query.all()


@dataclass(frozen=True, kw_only=True)
class Served:
    """A page that is served, and the way to its database."""

    folder: Path
    settings: Settings
    environment: Mapping[str, str]

    @property
    def address(self) -> str:
        return self.settings.address

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The server's process, from its first answer to its end."""
        command = [sys.executable, "-c", "from apps.review.server import serve; serve()"]
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=dict(self.environment), stdout=log, stderr=log)
            try:
                self._wait(process)
                yield
            finally:
                process.terminate()
                process.wait(20)

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.address}/healthz").is_success:
                    return
            time.sleep(0.05)
        raise AssertionError((self.folder / "server.log").read_text())


def prepared(folder: Path, *, port: int | None = None, **params: Any) -> Served:
    """A folder to serve from: the parameters of the project but for some of `review`, a database of its own."""
    document = yaml.safe_load((ROOT / "params.yaml").read_text())
    still = {"gold_share": 0.0, "again_share": 0.0, "double_share": 0.0}
    (folder / "params.yaml").write_text(yaml.safe_dump({"review": {**document["review"], **still, **params}}))
    (folder / "rubric.yaml").write_text((ROOT / "rubric.yaml").read_text())
    own = {
        "FLEDGLING_REVIEW_SECRET": SECRET,
        "FLEDGLING_REVIEW_PORT": str(port or free_port()),
        "FLEDGLING_REVIEW_DATABASE": f"sqlite:///{folder / 'review.db'}",
        "FLEDGLING_SERVE_URL": f"http://127.0.0.1:{free_port()}",  # nobody answers there
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FLEDGLING_", "PREFECT_"))}
    return Served(
        folder=folder,
        settings=load_settings(environment=own),
        environment={**inherited, **OFF, **own, "PYTHONPATH": str(ROOT)},
    )


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
