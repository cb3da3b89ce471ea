"""A small workspace for the mixture: annotated stories, a tokenizer, parameters."""

import json
from pathlib import Path
from typing import Any

import yaml

from tasks.mix import mix
from tasks.mixing.declarations import MixParams
from tasks.records import Record, write_records
from tasks.tokenizer_kinds import train_tokenizer

CLEAN, TOKENIZER = Path("data/clean"), Path("data/tokenizer.json")
FEEDBACK = Path("data/feedback")
INSTRUCTIONS, MIXTURE, METRICS = Path("data/instructions.jsonl"), Path("data/mixture"), Path("metrics/mix.json")
FEELINGS = ("sad", "proud", "angry")


def story(n: int, **about: Any) -> Record:
    """An annotated story, different for each n."""
    feeling = FEELINGS[n % 3]
    text = f"Story {n}. One day, Mina found ball number {n}. She felt {feeling}. Nobody said a word. Ola ran home {n}."
    known = {
        "feeling": feeling, "theme": ("courage", "nature")[n % 2], "words": ["ball", "found", "day"],
        "summary": f"Mina finds the ball {n}.",
        "questions": [
            {"question": "Who found a ball?", "answer": f"Mina, number {n}"},
            {"question": "How old was Mina?", "answer": None},
        ],
        "swedish": [
            {"english": f"Ola ran home {n}.", "swedish": f"Ola sprang hem {n}."},
            {"english": "Nobody said a word.", "swedish": "Ingen sa ett ord."},
        ],
    }  # fmt: skip
    return Record(
        text=text, source="tests", licence="CC0-1.0", group=f"plan {n}", weight=1.0,
        annotations=json.dumps({**known, **about}),
    )  # fmt: skip


def write_stories() -> None:
    """In the working folder: four splits of annotated stories, a tokenizer and no instructions."""
    ranges = {"train": (0, 60), "validation": (100, 106), "test": (200, 212), "written": (300, 306)}
    for split, numbers in ranges.items():
        write_records(CLEAN / f"{split}.parquet", [story(n) for n in range(*numbers)])
    texts = [story(n).text for n in range(60)]
    train_tokenizer(texts, kind="bpe", vocabulary_size=400, pre_tokenizer="gpt-2").save(str(TOKENIZER))
    INSTRUCTIONS.touch()


def parameters(**changes: Any) -> dict[str, Any]:
    """The default section `mix`, its expectations loosened to so few stories."""
    section = dict(yaml.safe_load((Path(__file__).parent / "mix.yaml").read_text())["mix"])
    expected = {"train_examples": 5, "test_examples": 1, "label_examples": 1, "task_share": [0.01, 1.0]}
    return {**section, "safety": False, "expected": expected, **changes}


def checked(section: dict[str, Any]) -> MixParams:
    """The section as parameters."""
    return MixParams.model_validate_json(json.dumps(section))


def rows_source(**changes: Any) -> dict[str, Any]:
    """A source of a file `own.jsonl` with the fields `text` and `label`."""
    plain = {
        "name": "own", "kind": "files", "globs": ["own.jsonl"], "fields": {"text": "text", "label": "label"},
        "templates": ["{text}\nWhich?"], "answer": "{label}", "split_by": "text", "document": "text", "licence": "MIT",
    }  # fmt: skip
    return {**plain, **changes}


def one_task(*sources: dict[str, Any], kind: str = "classification", **changes: Any) -> dict[str, Any]:
    """Parameters with one task, called `own`, of the given sources."""
    task = {"name": "own", "kind": kind, "sources": list(sources)}
    instructions = {"task": "own", "templates": ["{instruction}\n{input}"], "licence": "unknown"}
    return parameters(tasks=[task], instructions=instructions, **changes)


def write_rows(*rows: Any, name: str = "own.jsonl") -> None:
    Path(name).write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))


def labelled(count: int, **more: Any) -> list[dict[str, Any]]:
    """Rows of a classification with two classes."""
    return [{"text": f"A note about thing number {n}.", "label": ("good", "bad")[n % 2], **more} for n in range(count)]


def run_mix(section: dict[str, Any] | None = None) -> dict[str, Any]:
    """Runs the stage in the working folder; returns its figures."""
    paths = {"clean": CLEAN, "tokenizer": TOKENIZER, "instructions": INSTRUCTIONS, "feedback": FEEDBACK}
    mix(checked(section or parameters()), **paths, mixture=MIXTURE, metrics=METRICS)
    return dict(json.loads(METRICS.read_text()))
