"""What the chain of a dvc.lock learnt from: preferences, instructions, corpus; read from the bytes that it names."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.provenance.batches import batch_files
from tasks.provenance.held import Held
from tasks.provenance.locked import FoundLock
from tasks.provenance.way import Learnt, Locked, Preferences, Source
from tasks.records import FEEDBACK_SOURCE
from tasks.registry.evidence import Lock, rows_by

PAIRS, MIXTURE, CLEAN = "data/pairs", "data/mixture", "data/clean"
REJECTED = "rejected"  # the Parquet file of a folder that holds what was left out
OF_PEOPLE = "answers that people corrected or rated highly"
MOST_ORIGINS = 4  # that are told by name


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What is known here; a part is None where it is not here. not_found: what is missing, by path, and the way out."""

    lock: Locked | None = None
    preferences: Preferences | None = None
    batches: tuple[Learnt, ...] | None = None
    instructions: tuple[Source, ...] | None = None
    corpus: tuple[Source, ...] | None = None
    not_found: Mapping[str, str] = field(default_factory=dict)


def parts_of(found: FoundLock, held: Held, *, until: str) -> Parts:
    """What the chain learnt from, as far as its bytes are here. until: the day (ISO) after which no file counts."""
    outs = found.lock.outs
    there = {path: held.files(path, outs[path]) for path in (PAIRS, MIXTURE, CLEAN) if path in outs}
    mixture, clean = there.get(MIXTURE), there.get(CLEAN)
    return Parts(
        lock=found.told,
        preferences=_preferences(there.get(PAIRS)),
        batches=learnt_of(found.lock, held, until=until),
        instructions=None if mixture is None else tuple(_instructions(mixture, found.lock)),
        corpus=None if clean is None else tuple(_corpus(clean, found.lock)),
        not_found={path: _missing(path, outs[path]) for path, files in there.items() if files is None},
    )


def learnt_of(lock: Lock, held: Held, *, until: str) -> tuple[Learnt, ...] | None:
    """What was learnt from each batch; None where the bytes that say so are not here. until: as `parts_of` has it."""
    there = {path: held.files(path, lock.outs[path]) for path in (PAIRS, MIXTURE) if path in lock.outs}
    if any(files is None for files in there.values()):
        return None
    preferences, examples = _preferences(there.get(PAIRS)), _examples(there.get(MIXTURE))
    return tuple(_learnt(preferences, examples, until=until))


def _missing(path: str, md5: str) -> str:
    return f"{path} as {md5[:8]}: in neither the workspace nor DVC's cache; `dvc fetch` brings it from a remote"


def _preferences(files: Mapping[str, Path] | None) -> Preferences | None:
    if files is None or "manifest.json" not in files:
        return None
    manifest = json.loads(files["manifest.json"].read_text(encoding="utf-8"))
    return Preferences(**{name: manifest[name] for name in Preferences.model_fields})


def _examples(files: Mapping[str, Path] | None) -> Counter[str]:
    """How many training examples of the mixture each batch has a part in."""
    if files is None or "feedback.json" not in files:
        return Counter()
    told = json.loads(files["feedback.json"].read_text(encoding="utf-8"))["examples"]
    return Counter(batch for row in told for batch in {str(decision["batch"]) for decision in row["decisions"]})


def _learnt(preferences: Preferences | None, examples: Mapping[str, int], *, until: str) -> Iterator[Learnt]:
    pairs = preferences.batches if preferences else {}
    for batch in sorted({*pairs, *examples}):
        files = tuple(file for file in batch_files(batch) if file.collected <= until)
        yield Learnt(batch=batch, preferences=pairs.get(batch, 0), examples=examples.get(batch, 0), files=files)


def _instructions(files: Mapping[str, Path], lock: Lock) -> Iterator[Source]:
    declared = {
        source["name"]: source for task in lock.section("mix").get("tasks", ()) for source in task.get("sources", ())
    }
    rows: dict[tuple[str, ...], Counter[str]] = {}
    origins: dict[tuple[str, ...], set[str]] = {}
    for (task, source, licence, origin), counts in rows_by(_splits(files), "task", "source", "licence", "origin"):
        key = (task, source, licence)
        rows.setdefault(key, Counter()).update(counts)
        origins.setdefault(key, set()).add(origin)
    for (task, source, licence), counts in sorted(rows.items()):
        of_people = source == FEEDBACK_SOURCE
        what = OF_PEOPLE if of_people else _what(declared.get(source), origins[task, source, licence])
        yield Source(name=source, task=task, licence=licence, what=what, rows=dict(counts))


def _corpus(files: Mapping[str, Path], lock: Lock) -> Iterator[Source]:
    declared = {source["name"]: source for source in lock.section("ingest").get("sources", ())}
    for (source, licence), counts in rows_by(_splits(files), "source", "licence"):
        what = _what(declared.get(source), {"storybook"} if source.startswith("storybook") else set())
        yield Source(name=source, task="", licence=licence, what=what, rows=dict(counts))


def _splits(files: Mapping[str, Path]) -> dict[str, Path]:
    """The Parquet files of a folder by split; those below it are of something else."""
    named = {Path(name).stem: path for name, path in files.items() if name.endswith(".parquet") and "/" not in name}
    return {split: path for split, path in named.items() if split != REJECTED}


def _what(declared: Mapping[str, Any] | None, origins: set[str]) -> str:
    """Where a source's rows came from, in words: as it was declared, else by what the rows say."""
    kind = declared["kind"] if declared else ""
    if declared and kind == "hub":
        return f"{declared['dataset']} at {declared['revision'] or 'no fixed revision'}"
    if declared and kind == "files":
        return ", ".join(declared["globs"])
    if origins == {"storybook"}:
        return "built in"
    return ", ".join(sorted(origins)) if len(origins) <= MOST_ORIGINS else f"{len(origins):,} origins"
