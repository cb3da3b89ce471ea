"""Copies, leaks and what stands in external files are found; the held-out side always stays."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.cleaning.contamination import ContaminationParams
from tasks.mixing.example import Example
from tasks.mixing.leaks import without_copies, without_external, without_leaks
from tests.conftest import refused


def example(prompt: str, answer: str, split: str, **more: object) -> Example:
    plain = Example(
        task="t", kind="assistant", source="s", licence="MIT", origin="o", group=f"{split} {prompt}", split=split,
        place="p", prompt=prompt, answer=answer,
    )  # fmt: skip
    return replace(plain, **more)  # type: ignore[arg-type]


def test_equal_examples_go_and_evaluation_asks_once_with_all_answers() -> None:
    train = [example("Go.", answer, "train") for answer in ("Gå.", "Gå!", "Gå.")]
    test = [example("Run.", answer, "test") for answer in ("Spring.", "Löp.")]
    kept, rejected = without_copies([*train, *test])
    assert [(one.split, one.references) for one in kept] == [
        ("test", ("Spring.", "Löp.")), ("train", ("Gå.", "Gå!")), ("train", ("Gå!", "Gå.")),
    ]  # fmt: skip
    assert [one.reason for one in rejected] == ["duplicate", "duplicate"]
    [kept_one], _ = without_copies([example("a", "b", "train"), example("a", "b", "test")])
    assert kept_one.split == "test"


def test_what_is_evaluated_is_never_trained_on() -> None:
    long_answer = "One two three four five six seven eight."
    held = [
        example("a", "b", "test", keys=("the text",), group="one"),
        example("c", long_answer, "written", group="two"),
        example("d", "e", "validation", keys=("later",), group="three"),
    ]
    leaking = [
        example("x", "y", "train", group="one"),
        example("x", "y", "train", keys=("the text",)),
        example("x", "y", "validation", keys=("the text",)),
        example("x", long_answer.upper(), "train"),
        example("x", "y", "train", keys=("later",)),
    ]
    innocent = [example("x", "b", "train", keys=("another text",)), example("y", "b", "test", keys=("the text",))]
    kept, rejected = without_leaks([*leaking, *held, *innocent])
    assert kept == [*held, *innocent]
    assert [one.reason for one in rejected] == ["leak"] * 5


def test_external_texts_are_found_whole_or_by_their_ngrams() -> None:
    words = " ".join(f"word{n}" for n in range(20))
    Path("judge.jsonl").write_text(json.dumps({"ask": "Name four big cats."}) + "\n" + json.dumps({"ask": words}))
    params = ContaminationParams.model_validate_json(
        '{"ngram": 13, "max_share": 0.1, "evaluation": [{"files": "judge.jsonl", "fields": ["ask"]}]}'
    )
    found = [
        example("p", "q", "train", asked=("name four BIG cats", "")),
        example(f"{words} p", "q", "train"),
        example(words, "q", "test"),
        example("p", "q", "train", asked=("name four small cats",)),
    ]
    kept, rejected = without_external(found, params, Path())
    assert kept == found[2:]
    assert [one.reason for one in rejected] == ["contaminated"] * 2


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        ({"files": "none"}, r"^mix\.contamination\.evaluation: 'none' matches no file"),
        ({"files": "judge.jsonl"}, r"^mix\.contamination\.evaluation: say which fields of judge\.jsonl hold text"),
        ({"files": "judge.jsonl", "fields": ["q"]}, r":1: no field 'q'; mix\.contamination\.evaluation names it"),
    ],
)
def test_external_files_that_cannot_be_read_are_one_line_with_the_key_that_names_them(
    evaluation: dict[str, object], said: str
) -> None:
    Path("judge.jsonl").write_text('{"ask": "Name four big cats."}\n')
    told = json.dumps({"ngram": 13, "max_share": 0.1, "evaluation": [evaluation]})
    with refused(said):
        without_external([example("p", "q", "train")], ContaminationParams.model_validate_json(told), Path())


@pytest.fixture(autouse=True)
def in_workspace(workspace: Path) -> None:
    """Files of a test lie in its own folder."""
