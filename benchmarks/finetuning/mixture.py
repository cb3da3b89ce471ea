"""A mixture cut to some training examples of one task; what is tested and validated on stays whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from model.documents import Document, read_documents, write_documents
from tasks import stage
from tasks.stage import UserError


def cut_mixture(source: Path, target: Path, *, task: str, examples: int | None) -> int:
    """Write a mixture folder whose train split holds so many examples of a task alone; returns how many.

    examples: None for all there are. Which ones goes by a hash of their ids, so that 100 are among the 300. Raises
    UserError where there are none, or fewer than asked for.
    """
    table = pq.read_table(source / "train.parquet")
    chosen = _chosen(table, task, examples)
    shutil.rmtree(target, ignore_errors=True)
    (target / "tokens").mkdir(parents=True)
    for path in source.iterdir():
        if path.is_file() and path.name != "train.parquet":
            shutil.copyfile(path, target / path.name)
    pq.write_table(table.take(chosen), target / "train.parquet")
    for path in (source / "tokens").glob("validation.*"):
        shutil.copyfile(path, target / "tokens" / path.name)
    _write_tokens(source / "tokens", target / "tokens", chosen, rows=table.num_rows)
    return len(chosen)


def _chosen(table: pa.Table, task: str, examples: int | None) -> list[int]:
    """The rows to keep, in the order of the table."""
    rows = zip(table.column("task").to_pylist(), table.column("id").to_pylist(), strict=True)
    places = [(_order(name), at) for at, (found, name) in enumerate(rows) if found == task]
    if not places or (examples is not None and len(places) < examples):
        raise UserError(
            f"the mixture holds {len(places)} training examples of task '{task}', {examples or 1} are needed"
        )
    return sorted(at for _, at in sorted(places)[:examples])


def _order(name: str) -> str:
    return hashlib.sha256(f"study {name}".encode()).hexdigest()


def _write_tokens(source: Path, target: Path, chosen: Sequence[int], *, rows: int) -> None:
    """The train split of the token files, conversation d being row d of the table."""
    documents = read_documents(source, "train")
    if len(documents) != rows or documents.taught is None or documents.tasks is None:
        raise UserError(
            f"{source}: {len(documents)} conversations for {rows} rows of train.parquet; run `dvc repro mix`"
        )
    ends, taught, tasks = documents.offsets, documents.taught, documents.tasks
    kept = (
        Document(
            ids=documents.document(at),
            weight=float(documents.weights[at]),
            size=int(documents.bytes[at]),
            taught=taught[ends[at] : ends[at + 1]],
            task=int(tasks[at]),
        )
        for at in chosen
    )
    meta = json.loads((source / "meta.json").read_text(encoding="utf-8"))
    meta["splits"]["train"] = write_documents(target, "train", kept, dtype=documents.tokens.dtype, conversations=True)
    stage.write_text(target / "meta.json", json.dumps(meta, indent=2, sort_keys=True) + "\n")
