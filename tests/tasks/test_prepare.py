"""The stage `prepare` as a whole: nothing vanishes, twins stay together, the same bytes each time."""

import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.cleaning import pool
from tasks.cleaning.contamination import EvaluationFiles
from tasks.prepare import REASONS, PrepareParams, SplitParams, prepare
from tasks.records import SPLITS, Record, read_rows, write_records
from tasks.stage import UserError, load_params

PROJECT = Path(__file__).parents[2]
NAMES = ("Lily", "Ben", "Mia", "Tom", "Sue", "Max", "Anna", "Sam", "Zoe", "Tim")
THINGS = ("ball", "kite", "boat", "cake", "drum", "shell", "button", "lamp", "spoon", "basket")
PLACES = ("garden", "river", "kitchen", "forest", "beach", "barn", "hill", "market", "school", "attic")
VERBS = ("finds", "hides", "paints", "carries", "loses", "draws", "mends", "shares", "throws", "wraps")


def story(seed: int) -> str:
    rng = random.Random(seed)  # noqa: S311 -- texts, not secrets
    sentences = [
        f"{rng.choice(NAMES)} {rng.choice(VERBS)} the {rng.choice(THINGS)} near the {rng.choice(PLACES)} "
        f"while {rng.choice(NAMES)} {rng.choice(VERBS)} a {rng.choice(THINGS)} and the {rng.choice(THINGS)}."
        for _ in range(8)
    ]
    return " ".join(sentences)


@pytest.fixture(scope="module")
def params() -> PrepareParams:
    return load_params(PrepareParams, "prepare", file=PROJECT / "params.yaml")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run wrote."""

    folder: Path
    clean: dict[str, list[dict[str, Any]]]
    rejected: list[dict[str, Any]]
    metrics: dict[str, Any]

    @property
    def kept(self) -> list[dict[str, Any]]:
        return [row for rows in self.clean.values() for row in rows]

    @property
    def reasons(self) -> dict[str, str]:
        """Of each rejected text as it came in, by its id."""
        return {row["id"]: row["reason"] for row in self.rejected}


def run(folder: Path, records: Sequence[Record], params: PrepareParams) -> Outcome:
    write_records(folder / "raw.parquet", records)
    prepare(
        params,
        records=folder / "raw.parquet",
        clean=folder / "clean",
        rejected=folder / "rejected.parquet",
        metrics=folder / "prepare.json",
    )
    clean = {name: list(read_rows(folder / "clean" / f"{name}.parquet")) for name in SPLITS}
    metrics = json.loads((folder / "prepare.json").read_text())
    return Outcome(folder=folder, clean=clean, rejected=list(read_rows(folder / "rejected.parquet")), metrics=metrics)


def record(text: str, **fields: Any) -> Record:
    return Record(**{"text": text, "source": "own", "licence": "CC0-1.0", **fields})


def without(text: str, sentence: int) -> str:
    sentences = text.split(". ")
    return ". ".join(sentences[:sentence] + sentences[sentence + 1 :])


def test_nothing_vanishes_and_the_counts_add_up(tmp_path: Path, params: PrepareParams) -> None:
    bad = {
        f"Lily{chr(0xFFFD)}s mom. " + story(900): "replacement_characters",
        "Too short.": "too_short",
        "<p></p>": "empty",
        story(901) + " The man had a gun.": "unsafe",
        "Buy the ball. " * 60: "repetition",
        "Мышка бежала по полю и махнула хвостиком. " * 1 + "Яичко упало и разбилось, дед плачет, баба плачет, а курочка"
        " кудахчет: не плачь, дед, не плачь, баба, снесу вам яичко другое, не золотое, а простое.": "character_set",
        story(1).upper(): "exact_duplicate",
        without(story(2), 3): "near_duplicate",
        "x" * 1_000_000: "too_long",
    }
    good = [record(story(i), source="other" if i % 2 else "own") for i in range(60)]
    records = good + [record(text, source="last") for text in bad]
    outcome = run(tmp_path, records, params)
    assert outcome.reasons == {record(text).id: reason for text, reason in bad.items()}
    assert {r["text"] for r in outcome.rejected if r["reason"] not in ("exact_duplicate", "near_duplicate")} <= set(bad)
    assert all(row["detail"] for row in outcome.rejected)
    assert Counter(r.id for r in records) == Counter(row["id"] for row in outcome.kept + outcome.rejected)
    figures = outcome.metrics
    assert figures["records_in"] == len(records)
    assert figures["records_in"] == figures["records_kept"] + sum(figures[f"rejected_{r}"] for r in REASONS)
    assert {f"rejected_{r}" for r in REASONS} == {k for k in figures if k.startswith("rejected_")}
    assert figures["records_kept"] == sum(figures[f"records_{split}"] for split in SPLITS) == 60
    assert figures["records_kept_other"] == figures["records_in_other"] == 30
    assert figures["near_duplicate_share"] == pytest.approx(1 / 62, rel=1e-5)
    assert not (tmp_path / ".prepare").exists()


def test_of_copies_the_first_source_stays_and_then_the_lower_id(tmp_path: Path, params: PrepareParams) -> None:
    copies = [story(1), story(1).lower(), story(1).replace(",", ""), story(1) + " "]
    fillers = [record(story(i), source="first") for i in range(100, 130)]
    in_first = min((record(t, source="first") for t in copies[1:]), key=lambda r: r.id)
    records = [*fillers, record(copies[0], source="second"), *(record(t, source="first") for t in copies[1:])]
    outcome = run(tmp_path, records, params)
    assert in_first.id in {row["id"] for row in outcome.kept}
    assert len(outcome.kept) == 31


def test_the_written_hold_out_is_never_given_up_for_training_text(tmp_path: Path, params: PrepareParams) -> None:
    written = [record(story(i), source="storybook", split="written") for i in range(5)]
    train = [record(story(i), source="earlier") for i in range(100, 130)]
    copies = [record(story(0).upper(), source="earlier"), record(without(story(1), 2), source="earlier")]
    part = record(". ".join(story(2).split(". ")[:3]) + ". " + story(555), source="earlier")
    outcome = run(tmp_path, [*train, *copies, part, *written], params)
    assert {row["id"] for row in outcome.clean["written"]} == {r.id for r in written}
    assert outcome.reasons == {r.id: "contaminated" for r in (*copies, part)}


def test_text_of_evaluation_files_is_kept_out(
    tmp_path: Path, params: PrepareParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"question": "Why?", "passage": story(i)}) for i in range(3)]
    Path("evaluation.jsonl").write_text("\n".join(lines))
    source = EvaluationFiles(files="eval*.jsonl", fields=("question", "passage"))
    contamination = params.contamination.model_copy(update={"evaluation": (source,)})
    outcome = run(
        tmp_path,
        [record(story(i)) for i in range(40)],
        params.model_copy(update={"contamination": contamination}),
    )
    assert outcome.reasons == {record(story(i)).id: "contaminated" for i in range(3)}


@pytest.mark.parametrize(
    ("files", "fields", "complaint"),
    [("none/*.jsonl", ("text",), "matches no file"), ("a.jsonl", ("text",), r"a\.jsonl:1: no field 'text'")],
)
def test_a_wrong_evaluation_file_is_one_clear_line(
    tmp_path: Path, params: PrepareParams, monkeypatch: pytest.MonkeyPatch, files: str, fields: Any, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"other": "x"}\n')
    source = EvaluationFiles(files=files, fields=fields)
    contamination = params.contamination.model_copy(update={"evaluation": (source,)})
    with pytest.raises(UserError, match=complaint):
        run(tmp_path, [record(story(1))], params.model_copy(update={"contamination": contamination}))


def test_what_belongs_together_never_straddles_a_split(tmp_path: Path, params: PrepareParams) -> None:
    split = params.split.model_copy(update={"validation": 0.2, "test": 0.2, "judge_a": 0.2, "judge_b": 0.2})
    duplicates = params.duplicates.model_copy(update={"reject_jaccard": 0.95})  # twins stay, all of them
    relaxed = params.model_copy(update={"split": split, "duplicates": duplicates})
    twins = [record(text) for i in range(60) for text in (story(i), without(story(i), 3))]
    plans = [record(story(1000 + i), group=f"plan {i % 20}") for i in range(80)]
    outcome = run(tmp_path, twins + plans, relaxed)
    place = {row["id"]: split for split, rows in outcome.clean.items() for row in rows}
    assert len(place) == len(twins) + len(plans)
    assert all(place[a.id] == place[b.id] for a, b in zip(twins[::2], twins[1::2], strict=True))
    assert all(place[plans[i].id] == place[plans[i % 20].id] for i in range(80))
    sizes = Counter(place.values())
    assert all(sizes[name] > 15 for name in ("train", "validation", "test", "judge_a", "judge_b"))


def test_shares_that_leave_nothing_to_train_on_are_refused() -> None:
    shares = {"validation": 0.3, "test": 0.3, "judge_a": 0.2, "judge_b": 0.2, "seed": 1}
    with pytest.raises(ValueError, match="nothing would be left to train on"):
        SplitParams.model_validate(shares)


def test_the_split_of_a_record_does_not_depend_on_the_others(tmp_path: Path, params: PrepareParams) -> None:
    few = run(tmp_path / "few", [record(story(i)) for i in range(60)], params)
    many = run(tmp_path / "many", [record(story(i)) for i in reversed(range(200))], params)
    place = {row["id"]: split for split, rows in many.clean.items() for row in rows}
    assert all(place[row["id"]] == split for split, rows in few.clean.items() for row in rows)


def digests(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted([*folder.glob("clean/*"), folder / "rejected.parquet", folder / "prepare.json"]):
        yield path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_bytes_again_and_with_several_processes(
    tmp_path: Path, params: PrepareParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [record(story(i % 2500)) for i in range(5000)]
    once = run(tmp_path / "once", records, params)
    again = run(tmp_path / "again", records, params)
    monkeypatch.setattr(pool, "_WORTH_PROCESSES", 0)
    beside = run(tmp_path / "beside", records, params)
    assert dict(digests(once.folder)) == dict(digests(again.folder)) == dict(digests(beside.folder))
    assert once.metrics["rejected_exact_duplicate"] == 2500


def test_a_failed_run_leaves_the_last_good_state(
    tmp_path: Path, params: PrepareParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, [record(story(i)) for i in range(40)], params)
    before = dict(digests(tmp_path))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.prepare._verdict", full)
    with pytest.raises(OSError, match="No space"):
        run(tmp_path, [record(story(i)) for i in range(30)], params)
    assert dict(digests(tmp_path)) == before
    assert not (tmp_path / ".prepare").exists()


def test_bad_input_is_one_clear_line(tmp_path: Path, params: PrepareParams) -> None:
    with pytest.raises(UserError, match=r"no training record is left of 1; .*rejected\.parquet says why"):
        run(tmp_path, [record("Too short.")], params)
    with pytest.raises(UserError, match="fixed split is 'exam'; allowed"):
        run(tmp_path, [record(story(1), split="exam")], params)
    paths = {"clean": tmp_path, "rejected": tmp_path / "r.parquet", "metrics": tmp_path / "m.json"}
    with pytest.raises(UserError, match="no such file; the stage ingest makes it"):
        prepare(params, records=tmp_path / "none.parquet", **paths)
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(UserError, match="not a Parquet file"):
        prepare(params, records=tmp_path / "text.parquet", **paths)


SHARED = Path(os.environ.get("FLEDGLING_SHARED", PROJECT.parent / "shared"))
DIRTY = SHARED / "data" / "dirty"
needs_dirty = pytest.mark.usefixtures("dirty")  # skips, and says so at the end, where the folder is not there


def planted(name: str) -> tuple[list[Record], dict[str, str]]:
    """A file's records, and the problem planted in each by its id."""
    texts = [json.loads(line)["text"] for line in (DIRTY / name).read_text().splitlines()]
    records = [record(text) for text in texts]
    key = [json.loads(line) for line in (DIRTY / "answer_key.jsonl").read_text().splitlines()]
    return records, {records[k["line"] - 1].id: k["problem"] for k in key if k["file"] == name}


@needs_dirty
def test_planted_duplicates_are_found_and_nothing_else(tmp_path: Path, params: PrepareParams) -> None:
    records, problems = planted("duplicates.jsonl")
    outcome = run(tmp_path, records, params)
    copies = Counter(row["reason"] for row in outcome.rejected)
    # one of each pair stays, not always the original: 280 distinct of 400
    assert copies == {"exact_duplicate": 90, "near_duplicate": 30}
    assert len(problems) < len(records)


@needs_dirty
def test_planted_mojibake_is_repaired_or_rejected(tmp_path: Path, params: PrepareParams) -> None:
    records, problems = planted("mojibake.jsonl")
    outcome = run(tmp_path, records, params)
    lost = {id_ for id_, problem in problems.items() if problem == "replacement characters"}
    assert outcome.reasons == dict.fromkeys(lost, "replacement_characters")
    assert all(row["text"].isascii() for row in outcome.kept)


@needs_dirty
def test_planted_mark_up_is_removed(tmp_path: Path, params: PrepareParams) -> None:
    records, _ = planted("html_noise.jsonl")
    outcome = run(tmp_path, records, params)
    assert set(outcome.reasons.values()) <= {"unsafe"}  # a story of a pistol
    noise = ("<", "&", "http", "cookies", "BUY NOW", "Log in", "©")
    assert not [row["text"] for row in outcome.kept if any(mark in row["text"] for mark in noise)]
