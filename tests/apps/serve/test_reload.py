"""A promotion while replies are on their way, and a share of the conversations for the candidate."""

import pickle
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tasks.registry import notice, store
from tasks.registry.versions import CANDIDATE, CHAMPION, NAME
from tests.apps.serve.running import CHAT, Running, running, slowly, wait_until, write_model
from tests.conftest import ROOT

STREAMS = 20


@pytest.fixture
def registry(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A real registry with two versions, the first of them champion."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(ROOT / "params.yaml", workspace / "params.yaml")
    client = store.connect()
    client.create_registered_model(NAME)
    for seed in (1, 2):
        folder = write_model(workspace / f"logged-{seed}" / "aligned", seed=seed)
        client.create_model_version(NAME, source=str(folder))
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    yield client
    monkeypatch.undo()


def served(made: Running, **asked: Any) -> tuple[str, str]:
    headers = made.ask(max_tokens=1, **asked).headers
    return headers["x-fledgling-version"], headers["x-fledgling-share"]


def test_a_promotion_breaks_no_stream(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"model": "fledgling", "messages": CHAT, "max_tokens": 60, "stream": True}
    with running("champion", slots=STREAMS, poll_s=1000, load=slowly(0.02)) as made:
        old = made.live
        alone = made.ask(max_tokens=60, seed=0, stream=True).text

        def stream(number: int) -> tuple[str, str]:
            with made.http.stream("POST", "/v1/chat/completions", json={**body, "seed": number % 2}) as answer:
                return answer.headers["x-fledgling-version"], "".join(answer.iter_text())

        with ThreadPoolExecutor(STREAMS) as pool:
            streams = [pool.submit(stream, number) for number in range(STREAMS)]
            wait_until(lambda: old.loop.figures.live == STREAMS)
            registry.set_registered_model_alias(NAME, CHAMPION, "2")
            monkeypatch.setenv(notice.ADDRESS, f"{made.address}/admin/reload")
            assert notice.send({"event": "fledgling.model.promoted", "name": NAME, "version": 2, "previous": 1})
            wait_until(lambda: made.live is not old)
            assert served(made) == ("fledgling/2", "champion")
            told = [one.result() for one in streams]
        assert {version for version, _ in told} == {"fledgling/1"}
        assert all(text.endswith("data: [DONE]\n\n") for _, text in told)
        assert {_said(text) for _, text in told[::2]} == {_said(alone)}
        wait_until(lambda: old.loop.has_ended)
        assert "fledgling_reloads_total 1.0" in made.service.metrics.text().decode()


def test_the_candidate_has_its_share_and_a_conversation_stays_where_it_is(registry: Any) -> None:
    with running("champion", candidate_share=0.4, slots=4, poll_s=0.5) as made:
        assert served(made) == ("fledgling/1", "champion")
        registry.set_registered_model_alias(NAME, CANDIDATE, "2")
        wait_until(lambda: len(made.service.fleet.lives) == 2)  # by asking the registry again and again
        drawn = {user: served(made, user=user) for user in map(str, range(12))}
        assert set(drawn.values()) == {("fledgling/1", "champion"), ("fledgling/2", "candidate")}
        assert {user: served(made, user=user) for user in list(drawn)[:4]} == dict(list(drawn.items())[:4])
        same = made.http.post(
            "/v1/chat/completions", json={"model": "fledgling", "messages": CHAT, "max_tokens": 1},
            headers={"X-Conversation-Id": "7"},
        )  # fmt: skip
        assert same.headers["x-fledgling-version"] == drawn["7"][0]
        assert served(made, model="fledgling@candidate") == ("fledgling/2", "candidate")
        assert served(made, model="fledgling@champion") == ("fledgling/1", "champion")
        registry.set_registered_model_alias(NAME, CHAMPION, "2")  # the promotion of what is loaded already
        wait_until(lambda: len(made.service.fleet.lives) == 1)
        assert served(made) == ("fledgling/2", "champion")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("pytorch_model.bin", pickle.dumps(Path("run")), "pytorch_model.bin, which may run code when it is read"),
        ("model.safetensors", b"\x80\x04not tensors", "can't be served"),
    ],
    ids=["a pickle inside", "no tensors"],
)
def test_the_promotion_of_a_corrupt_model_changes_nothing(
    registry: Any, workspace: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes, told: str
) -> None:
    source = Path(registry.get_model_version(NAME, "2").source)
    (source / name).write_bytes(content)
    with caplog.at_level("WARNING", "tasks.serving.fleet"), running("champion", slots=4, poll_s=0.1) as made:
        registry.set_registered_model_alias(NAME, CHAMPION, "2")
        wait_until(lambda: [one for one in caplog.records if told in one.getMessage()])
        assert served(made) == ("fledgling/1", "champion")
        assert made.http.get("/ready").json()["served"] == {"fledgling/1": "champion"}
        registry.set_registered_model_alias(NAME, CHAMPION, "1")
        assert served(made) == ("fledgling/1", "champion")
    warned = [one for one in caplog.records if one.name == "tasks.serving.fleet" and one.levelname == "WARNING"]
    assert len(warned) == 1, "one line, however often the registry is asked"
    assert "\n" not in warned[0].getMessage()


def _said(events: str) -> str:
    """The stream without what differs from reply to reply."""
    return "".join(part.partition('"choices"')[2] for part in events.split("data: "))
