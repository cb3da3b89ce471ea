"""Batches cleaned side by side in processes, handed back in order; small inputs stay in this process."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tasks.cleaning.batch import CleanBatch, Cleaner, CleaningParams

Batch = Sequence[dict[str, Any]]

_WORTH_PROCESSES = 40_000  # texts: below, starting them (1 s) costs more than they save
_WAITING_BATCHES = 2  # per process: enough to keep it busy, few enough to bound memory
_PR_SET_PDEATHSIG = 1

_CLEANER: list[Cleaner] = []  # one in each worker process, set by its initialiser


def clean_in_order(
    params: CleaningParams, batches: Iterable[Batch], *, index: Path, total: int
) -> Iterator[tuple[Batch, CleanBatch]]:
    """Each batch with its result. index: evaluation n-grams (.npy), mapped by all; total: texts in all."""
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if total < _WORTH_PROCESSES or processes < 2:
        cleaner = Cleaner(params, np.load(index, mmap_mode="r"))
        for batch in batches:
            texts, is_evaluation = _columns(batch)
            yield batch, cleaner.clean(texts, is_evaluation=is_evaluation)
        return
    yield from _side_by_side(params, batches, index=index, processes=processes)


def _side_by_side(
    params: CleaningParams, batches: Iterable[Batch], *, index: Path, processes: int
) -> Iterator[tuple[Batch, CleanBatch]]:
    context = multiprocessing.get_context("spawn")  # forking a process with Arrow's threads may hang
    waiting: deque[tuple[Batch, Future[CleanBatch]]] = deque()
    with ProcessPoolExecutor(processes, context, _start_worker, (params, index, os.getpid())) as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(_clean, *_columns(batch))))
            if len(waiting) > _WAITING_BATCHES * processes:
                first, result = waiting.popleft()
                yield first, result.result()
        for first, result in waiting:
            yield first, result.result()


def _columns(batch: Batch) -> tuple[list[str], list[bool]]:
    return [row["text"] for row in batch], [bool(row["split"]) for row in batch]


def _start_worker(params: CleaningParams, index: Path, parent: int) -> None:
    if sys.platform == "linux":  # a worker never outlives a killed stage
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)
    _CLEANER[:] = [Cleaner(params, np.load(index, mmap_mode="r"))]


def _clean(texts: list[str], is_evaluation: list[bool]) -> CleanBatch:
    return _CLEANER[0].clean(texts, is_evaluation=is_evaluation)
