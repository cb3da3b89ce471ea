"""Models asked in processes of their own: what they say, and that no process stays, whatever happens to one."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tasks.evaluation import models as module
from tasks.evaluation.answering import AnsweringParams
from tasks.evaluation.models import Questions, Replies, asked
from tasks.evaluation.stories import StoryParams
from tests.conftest import refused
from tests.tasks import small

FOREVER_S = 60


def questions() -> Questions:
    limits = dict.fromkeys(("summarization", "translation", "assistant", "story"), 4)
    answering = {
        "shots": 1, "max_tokens": limits, "story_temperature": 0.5, "temperature": 0.0, "top_p": 0.9, "batch": 2,
    }  # fmt: skip
    return Questions(
        texts={"test": [np.array([5, 6, 7, 0]), np.array([8, 0])], "written": [np.array([9, 9, 0])]},
        tasks=[],
        openings=["One day", "Tom had"],
        answering=AnsweringParams.model_validate(answering),
        stories=StoryParams(
            count=2, opening_words=2, max_tokens=5, temperature=0.7, top_p=0.9, batch=2, memorised_ngram=5
        ),
        seed=1,
    )


@pytest.fixture
def folders(workspace: Path) -> list[Path]:
    from model.checkpoint import save_model

    small.write_workspace()
    tuned = Path("models/tuned")
    save_model(tuned, small.decoder(seed=3), tokenizer=small.TOKENIZER)
    return [small.BASE, tuned]


def waits(*_: Any) -> None:
    time.sleep(FOREVER_S)


def is_killed(folder: Path, _: Questions) -> None:
    if folder.name == "tuned":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(FOREVER_S)


def ask(folders: list[Path], *, processes: int = 2, asking: Questions | None = None) -> dict[str, Replies]:
    with asked(folders, asking or questions(), processes=processes) as collect:
        return collect()


def test_every_model_replies_for_itself_and_as_it_does_in_this_process(folders: list[Path]) -> None:
    from model.checkpoint import load_model
    from model.scoring import document_bits

    replies = ask(folders, processes=1)
    assert list(replies) == ["base", "tuned"]
    for folder in folders:
        model, reply = load_model(folder), replies[folder.name]
        for name, documents in questions().texts.items():
            assert reply.bits[name] == pytest.approx(document_bits(model, documents), rel=1e-6)
        assert [story.opening for story in reply.stories] == ["One day", "Tom had"]
    assert replies["base"].bits["test"][0] != replies["tuned"].bits["test"][0]
    both = ask(folders, processes=2)
    assert [reply.stories for reply in both.values()] == [reply.stories for reply in replies.values()]
    assert all((both[name].bits["test"] == reply.bits["test"]).all() for name, reply in replies.items())


def test_a_model_that_cannot_be_read_is_one_line(folders: list[Path]) -> None:
    (folders[1] / "model.safetensors").write_bytes(b"none")
    with refused("models/tuned holds no readable model"):
        ask(folders)


def test_a_model_that_cannot_be_asked_is_one_line_that_names_it(folders: list[Path]) -> None:
    mistaken = questions().stories.model_copy(update={"batch": -1})
    with refused(r"models/base: batch=-1 is below 1"):
        ask(folders, asking=replace(questions(), stories=mistaken))


def test_a_process_that_is_killed_is_one_line_and_its_neighbours_end(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_replies", is_killed)
    with refused(r"a process that asks a model was killed .* set evaluate\.processes to 1"):
        ask(folders)
    assert not multiprocessing.active_children()


def test_what_goes_wrong_beside_them_ends_the_processes(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_replies", waits)
    start = time.monotonic()

    def fail() -> None:
        with asked(folders, questions(), processes=2):
            assert len(multiprocessing.active_children()) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not multiprocessing.active_children()
    assert time.monotonic() - start < FOREVER_S / 2


STAGE = """
import signal, time
from tasks.evaluation import models
from tests.tasks.evaluation import test_models as these
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    models._replies = these.waits
    with models.asked([these.Path("a"), these.Path("b")], these.questions(), processes=2):
        print("asked", flush=True)
        these.waits()
"""


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT])
def test_the_processes_end_with_the_stage(workspace: Path, way: signal.Signals) -> None:
    root = Path(module.__file__).parents[2]
    script = workspace / "stage.py"
    script.write_text(STAGE)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as stage:
        assert stage.stdout is not None
        assert stage.stdout.readline() == "asked\n"
        workers = psutil.Process(stage.pid).children(recursive=True)
        time.sleep(1)  # some are still starting, and have not asked to end with it yet
        stage.send_signal(way)
        stage.wait(timeout=30)
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
