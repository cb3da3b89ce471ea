"""What the models are asked, each in a process of its own, while the rest of `evaluate` goes on.

A process computes with one thread: two of torch's wait for each other wherever something else wants a core, and
take five to ten times the CPU time of one then. Models side by side use the cores better.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.evaluation.answering import AnsweringParams, load_decoder, respondents
from tasks.evaluation.intervals import Floats
from tasks.evaluation.stories import StoryParams, ToldStory, write_stories
from tasks.evaluation.task_suite import Task, TaskAnswers, answer_tasks
from tasks.stage import UserError, end_with_parent
from tasks.tokenizer_kinds import load_tokenizer

if TYPE_CHECKING:
    from model.decoder import Decoder

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What every model is asked; plain data, since it goes to other processes.

    texts: token ids of documents (the end token last) that are scored, by a name for the set.
    """

    texts: Mapping[str, Sequence[Ints]]
    tasks: Sequence[Task]
    openings: Sequence[str]
    answering: AnsweringParams
    stories: StoryParams
    seed: int


@dataclass(frozen=True, kw_only=True)
class Replies:
    """What one model said. bits: of each document of each set; answers: by task."""

    bits: dict[str, Floats]
    answers: dict[str, TaskAnswers]
    stories: list[ToldStory]


Collect = Callable[[], dict[str, Replies]]


@contextmanager
def asked(models: Sequence[Path], questions: Questions, *, processes: int) -> Iterator[Collect]:
    """Asks the models, at most `processes` at once; call what is given to wait for their replies, by name.

    Raises UserError where a model can't be read or asked and where its process is killed. No process is left
    behind, however the block ends.
    """
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    pool = ProcessPoolExecutor(min(processes, len(models)), context, _start_worker, (os.getpid(),))
    try:
        with _no_interrupts():
            futures = {folder.name: pool.submit(_replies, folder, questions) for folder in models}
            pool.submit(os.getpid)  # makes the pool look again: it may not watch the last process that it started
        yield lambda: {name: _reply(name, future) for name, future in futures.items()}
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Processes that are started in here never see Ctrl-C: this one does, and ends them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _reply(name: str, future: Future[Replies]) -> Replies:
    try:
        return future.result()
    except BrokenProcessPool:
        raise UserError(
            f"a process that asks a model was killed before {name} had answered; where memory ran out, give the "
            "stage more of it or set evaluate.processes to 1"
        ) from None


def _start_worker(parent: int) -> None:
    logging.basicConfig(level=logging.WARNING, format="evaluate | %(message)s", stream=sys.stdout)
    logging.getLogger("tasks").setLevel(logging.INFO)
    end_with_parent()
    if os.getppid() != parent:  # it ended before that could be asked for
        os._exit(1)


def _replies(folder: Path, questions: Questions) -> Replies:
    import torch

    torch.set_num_threads(1)
    model = load_decoder(folder)
    try:
        return Replies(
            bits=_bits(folder.name, model, questions.texts),
            answers=_answers(folder, model, questions),
            stories=_stories(folder, model, questions),
        )
    except ValueError as error:
        raise UserError(f"{folder}: {error}") from error


def _bits(name: str, model: Decoder, texts: Mapping[str, Sequence[Ints]]) -> dict[str, Floats]:
    from model.scoring import document_bits

    log.info("%s: scoring %s", name, ", ".join(texts))
    return {kind: document_bits(model, documents) for kind, documents in texts.items()}


def _answers(folder: Path, model: Decoder, questions: Questions) -> dict[str, TaskAnswers]:
    ways = respondents(folder, model, questions.answering, seed=questions.seed)
    return answer_tasks(questions.tasks, ways)


def _stories(folder: Path, model: Decoder, questions: Questions) -> list[ToldStory]:
    log.info("%s: telling %d stories", folder.name, len(questions.openings))
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    return write_stories(questions.stories, questions.openings, model=model, tokenizer=tokenizer, seed=questions.seed)
