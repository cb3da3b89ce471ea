"""What people said becomes examples: which answers, counted, each once, traced, and never of what is held out."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from model.documents import read_documents
from tasks.chat import END_OF_TURN
from tasks.mixing.declarations import FeedbackParams
from tasks.mixing.example import SPLITS, Example
from tasks.mixing.feedback import REASONS, feedback_examples, without_near
from tasks.mixing.tokens import encode
from tasks.reviews.batch_file import Answer, Feedback, Prompt
from tasks.tokenizer_kinds import train_tokenizer
from tests.conftest import refused
from tests.tasks.mixing.small import (
    FEEDBACK,
    METRICS,
    MIXTURE,
    checked,
    labelled,
    one_task,
    parameters,
    rows_source,
    run_mix,
    write_rows,
    write_stories,
)
from tests.tasks.reviews import test_batch_file as batch_file

SAID = {
    "use": True, "corrections": True, "least_rating": 4.0, "least_ratings": 1, "repeat": 1.0, "held_out_jaccard": 0.6,
    "licence": "CC0-1.0",
}  # fmt: skip
BAD, GOOD = "Mina run home.", "Mina ran home."
TASKS = checked(parameters()).tasks
REQUEST = Example(
    task="assistant", kind="assistant", source="requests", licence="MIT", origin="storybook", group="a plan",
    split="train", place="story 1", prompt="Write a story about courage.", answer="Once.", aspect="story",
    constraints={"words": ["boat"]}, keys=("words: boat",),
)  # fmt: skip


def said(**changes: Any) -> FeedbackParams:
    return FeedbackParams.model_validate_json(json.dumps({**SAID, **changes}))


def prompt(asked: Example = REQUEST, **changes: Any) -> Prompt:
    task = "story" if asked.aspect == "story" else asked.kind
    values = {"id": asked.id, "text": asked.prompt, "document": asked.document, "task": task, "cluster": asked.id}
    return Prompt(**{**values, "split": "train", **changes})


def answer(text: str, *, cut: bool = False) -> tuple[Answer, ...]:
    told = Answer(
        generation="g0", judged_item="j0", text=text, model="finetuned", model_version="", decoding={"cut": cut}
    )
    return (told,)


def correction(number: int, text: str, *, of: str = BAD, cut: bool = False, **changes: Any) -> Feedback:
    by = {"reviewer": f"reader-{number}", "prompt": prompt(), "answers": answer(of, cut=cut)}
    return batch_file.row(number, kind="correction", decision={"text": text}, **{**by, **changes})


def rating(number: int, *levels: int, of: str = BAD, cut: bool = False, **changes: Any) -> Feedback:
    by = {"reviewer": f"reader-{number}", "prompt": prompt(), "answers": answer(of, cut=cut)}
    scores = {f"axis {at}": level for at, level in enumerate(levels)}
    return batch_file.row(number, kind="rating", decision={"scores": scores}, **{**by, **changes})


def learnt(rows: Sequence[Feedback], **changes: Any) -> tuple[list[str], dict[str, int]]:
    """The answers that are learnt from, and how many others are not, by reason."""
    found = feedback_examples(rows, [REQUEST], TASKS, said(**changes))
    return [example.answer for example in found.examples], dict(+found.left_out)


def test_a_correction_is_learnt_as_its_prompt_s_row_is() -> None:
    rows = [correction(1, GOOD), batch_file.row(2)]
    found = feedback_examples(rows, [REQUEST], TASKS, said(repeat=2.5))
    (example,) = found.examples
    assert (example.answer, example.prompt, example.split) == (GOOD, REQUEST.prompt, "train")
    assert (example.task, example.group, example.constraints, example.keys) == (
        REQUEST.task, REQUEST.group, REQUEST.constraints, REQUEST.keys,
    )  # fmt: skip
    assert (example.source, example.licence, example.weight, example.is_outside) == ("feedback", "CC0-1.0", 2.5, True)
    assert example.origin == "feedback: b/1 reader-1"
    assert (found.why, found.decisions) == ({example.id: "correction"}, 2)
    assert not +found.left_out


@pytest.mark.parametrize(
    ("rows", "changes", "texts", "left_out"),
    [
        ([rating(1, 4, 4)], {}, [BAD], {}),
        ([rating(1, 5, 3)], {}, [BAD], {}),
        ([rating(1, 4, 3)], {}, [], {"low_rating": 1}),
        ([rating(1, 4, 3)], {"least_rating": 3.5}, [BAD], {}),
        ([rating(1, 5), rating(2, 2)], {}, [], {"low_rating": 1}),
        ([rating(1, 5), rating(2, 3)], {"least_ratings": 2}, [BAD], {}),
        ([rating(1, 5), rating(2, 5, reviewer="reader-1")], {"least_ratings": 2}, [], {"few_ratings": 1}),
        ([rating(1, 5, of=" ")], {}, [], {"empty": 1}),
        ([rating(1, 5, purpose="gold")], {}, [], {"not_for_training": 1}),
        ([rating(1, 5, prompt=prompt(split="holdout"))], {}, [], {"not_for_training": 1}),
    ],
    ids=["high", "mean", "low", "by parameter", "low by two", "two", "one twice", "empty", "gold", "hold-out"],
)
def test_which_ratings_are_learnt_from(
    rows: list[Feedback], changes: dict[str, Any], texts: list[str], left_out: dict[str, int]
) -> None:
    assert learnt(rows, **changes) == (texts, left_out)


@pytest.mark.parametrize(
    ("rows", "changes", "texts", "left_out"),
    [
        ([correction(1, GOOD), correction(2, "Mina hurried home.")], {}, [GOOD, "Mina hurried home."], {}),
        ([correction(1, GOOD), correction(2, f" {GOOD}\n")], {}, [GOOD], {}),
        ([correction(1, BAD)], {}, [], {"unchanged": 1}),
        ([correction(1, GOOD), correction(2, BAD)], {}, [], {"people_differ": 1, "corrected": 1}),
        ([correction(1, GOOD), correction(2, GOOD), correction(3, BAD)], {}, [GOOD], {"corrected": 1}),
        ([correction(1, GOOD), rating(2, 2, of=GOOD)], {}, [], {"people_differ": 1}),
        ([correction(1, GOOD), correction(2, "Home!", of=GOOD)], {}, ["Home!"], {"people_differ": 1}),
        ([correction(1, GOOD), rating(2, 5)], {}, [GOOD], {"corrected": 1}),
        ([correction(1, BAD), rating(2, 5)], {}, [BAD], {}),
        ([correction(1, GOOD)], {"corrections": False}, [], {"corrections_off": 1}),
        ([correction(1, GOOD, purpose="again")], {}, [], {"not_for_training": 1}),
    ],
    ids=[
        "two ways", "the same way", "unchanged", "needless to one", "needless to fewer", "rated low",
        "corrected again", "over a rating", "left and rated", "off", "again",
    ],
)  # fmt: skip
def test_which_corrections_are_learnt_from(
    rows: list[Feedback], changes: dict[str, Any], texts: list[str], left_out: dict[str, int]
) -> None:
    found, counted = learnt(rows, **changes)
    assert (sorted(found), counted) == (sorted(texts), left_out)


@pytest.mark.parametrize(
    ("row", "is_cut"),
    [
        (rating(1, 5), False),
        (rating(1, 5, cut=True), True),
        (correction(1, "Then Mina ran home. She"), False),
        (correction(1, "Then Mina ran home. She", of="Mina run home. She", cut=True), False),
        (correction(1, "Then Mina ran home. She", of="Mina ran home. She", cut=True), True),
    ],
    ids=["whole", "cut", "correction of a whole one", "corrected up to its end", "corrected but for its end"],
)
def test_the_end_of_an_answer_that_was_cut_is_not_taught(row: Feedback, is_cut: bool) -> None:
    (example,) = feedback_examples([row], [REQUEST], TASKS, said()).examples
    tokenizer = train_tokenizer(
        [example.prompt, example.answer], kind="bpe", vocabulary_size=300, pre_tokenizer="gpt-2"
    )
    tokenizer.encode_special_tokens = True
    (encoded,) = encode([example], tokenizer)
    taught = [token for token, is_taught in zip(encoded.chat.ids, encoded.chat.taught, strict=True) if is_taught]
    assert (END_OF_TURN in taught) == (not is_cut)
    assert tokenizer.decode([token for token in taught if token != END_OF_TURN]) == example.answer
    assert END_OF_TURN in encoded.chat.ids


def test_a_prompt_that_the_mixture_no_longer_holds_goes_to_the_task_of_its_kind() -> None:
    story = prompt(id="gone", text="Write a story about a lamp.")
    found = feedback_examples([correction(1, GOOD, prompt=story)], [REQUEST], TASKS, said())
    (example,) = found.examples
    assert (example.task, example.prompt, example.constraints) == ("assistant", "Write a story about a lamp.", {})
    unknown = prompt(id="gone", text="Sing.", task="song")
    assert learnt([correction(1, GOOD, prompt=unknown)]) == ([], {"no_task": 1})


def test_no_class_is_made_by_a_correction() -> None:
    asked = Example(
        task="mood", kind="classification", source="s", licence="MIT", origin="o", group="g", split="train", place="p",
        prompt="Mina smiled.\nWhich?", answer="glad", label="glad",
    )  # fmt: skip
    rows = [
        correction(1, "glad", of="sad", prompt=prompt(asked)),
        correction(2, "merry", of="sad", prompt=prompt(asked)),
    ]
    found = feedback_examples(rows, [asked], TASKS, said())
    assert [(example.answer, example.label) for example in found.examples] == [("glad", "glad")]
    assert +found.left_out == {"unknown_label": 1}


def test_a_prompt_near_to_a_held_out_one_is_left_out() -> None:
    near = prompt(id="gone", text="Write a story about a brave little lamp at sea.")
    held_out = Example(
        task="assistant", kind="assistant", source="s", licence="MIT", origin="o", group="h", split="written",
        place="p", prompt="Write a story about a brave little lamp at sea!", answer="Once.",
    )  # fmt: skip
    made = feedback_examples([correction(1, GOOD, prompt=near), correction(2, GOOD)], [REQUEST], TASKS, said()).examples
    kept, rejected = without_near([REQUEST, held_out, *made], jaccard=0.6)
    assert kept == [REQUEST, held_out, made[1]]
    assert [(found.example, found.reason) for found in rejected] == [(made[0], "leak")]


@pytest.fixture
def stories(workspace: Path) -> None:
    write_stories()
    FEEDBACK.mkdir(parents=True)
    (FEEDBACK / "README.md").write_text("What people decided.\n")


def rows_of(split: str) -> list[dict[str, Any]]:
    return list(pq.read_table(MIXTURE / f"{split}.parquet").to_pylist())


def hashes() -> dict[str, str]:
    files = sorted(path for path in MIXTURE.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def asked_of(row: dict[str, Any]) -> Prompt:
    """What was asked by a row of the mixture."""
    text = json.loads(row["messages"])[0]["content"]
    return Prompt(id=row["id"], text=text, document=row["document"], task=row["kind"], cluster=row["id"], split="train")


def is_summary(row: dict[str, Any]) -> bool:
    return bool(row["kind"] == "summarization")


def summary_of(split: str) -> dict[str, Any]:
    return next(filter(is_summary, rows_of(split)))


@pytest.mark.usefixtures("stories")
def test_without_a_batch_the_mixture_has_the_bytes_that_it_has_without_the_source() -> None:
    figures = run_mix()
    first = hashes()
    assert not (MIXTURE / "feedback.json").exists()
    assert {name: figures[name] for name in figures if name.startswith("feedback_")} == {
        "feedback_decisions": 0, "feedback_corrections": 0, "feedback_ratings": 0,
        **{f"feedback_left_out_{reason}": 0 for reason in REASONS},
    }  # fmt: skip
    run_mix(parameters(feedback={**SAID, "use": False}))
    assert hashes() == first
    batch_file.write(FEEDBACK, [batch_file.row(1), rating(2, 5, purpose="gold")])  # nothing to learn from
    assert run_mix()["feedback_left_out_not_for_training"] == 1
    assert hashes() == first
    batch_file.write(FEEDBACK, [correction(1, GOOD)])
    run_mix(parameters(feedback={**SAID, "use": False}))
    assert hashes() == first


@pytest.mark.usefixtures("stories")
def test_rounds_accumulate_and_nothing_else_of_the_mixture_changes() -> None:
    run_mix()
    before = {split: rows_of(split) for split in SPLITS}
    first_asked, asked = (row for row in before["train"] if row["group"] in ("plan 7", "plan 8") and is_summary(row))
    batch_file.write(FEEDBACK, [correction(1, "Mina found her ball.", prompt=asked_of(first_asked))], name="a")
    batch_file.write(FEEDBACK, [rating(2, 5, of="Mina and the ball.", prompt=asked_of(asked))], name="b")
    first = run_mix(parameters(feedback={**SAID, "repeat": 3.0}))
    assert (first["feedback_corrections"], first["feedback_ratings"]) == (1, 1)
    assert first["records_kept"] == sum(map(len, before.values())) + 2

    added = [row for row in rows_of("train") if row["source"] == "feedback"]
    assert [(row["answer"], row["origin"]) for row in added] == [
        ("Mina found her ball.", "feedback: b/1 reader-1"), ("Mina and the ball.", "feedback: b/2 reader-2"),
    ]  # fmt: skip
    assert [row["group"] for row in added] == ["plan 7", "plan 8"]
    assert [row["document"] for row in added] == [first_asked["document"], asked["document"]]
    for split in SPLITS:
        others = [row for row in rows_of(split) if row["source"] != "feedback"]
        assert [{**row, "references": ""} for row in others] == [{**row, "references": ""} for row in before[split]]
    weights = read_documents(MIXTURE / "tokens", "train").weights
    assert weights.tolist() == [1.0] * len(before["train"]) + [3.0, 3.0]

    told = json.loads((MIXTURE / "feedback.json").read_text())
    assert told["examples"] == [
        {"id": row["id"], "why": why, "decisions": [{"batch": "b", "annotation": at, "reviewer": f"reader-{at}"}]}
        for at, (row, why) in enumerate(zip(added, ("correction", "rating"), strict=True), start=1)
    ]
    assert (told["batches"], told["reviewers"]) == ({"b": 2}, {"reader-1": 1, "reader-2": 1})
    bytes_of = hashes()
    run_mix(parameters(feedback={**SAID, "repeat": 3.0}))
    assert hashes() == bytes_of


@pytest.mark.usefixtures("stories")
def test_what_is_held_out_a_copy_or_too_long_is_left_out_and_counted() -> None:
    run_mix()
    summary, held_out = summary_of("train"), summary_of("test")
    batch_file.write(
        FEEDBACK,
        [
            correction(1, "Mina had a ball to lose.", prompt=asked_of(held_out)),  # the parameters were others then
            correction(2, summary["answer"], prompt=asked_of(summary)),
            correction(3, "so long " * 700, prompt=asked_of(summary)),
            correction(4, "Mina had a ball.", prompt=asked_of(summary)),
        ],
    )
    figures = run_mix()
    assert [row["answer"] for row in rows_of("train") if row["source"] == "feedback"] == ["Mina had a ball."]
    left_out = {reason: figures[f"feedback_left_out_{reason}"] for reason in REASONS}
    assert {reason: count for reason, count in left_out.items() if count} == {"leak": 1, "duplicate": 1, "too_long": 1}
    assert figures["feedback_decisions"] == figures["feedback_corrections"] + sum(left_out.values())
    assert figures["records_in"] == figures["records_kept"] + sum(
        count for name, count in figures.items() if name.startswith("rejected_")
    )


@pytest.mark.usefixtures("stories")
def test_a_changed_batch_file_and_a_source_of_that_name_are_one_line() -> None:
    batch_file.write(FEEDBACK, [correction(1, GOOD)], sha256="0" * 64)
    with refused(r"b\.jsonl: not what b\.manifest\.json says"):
        run_mix()
    assert not METRICS.exists()
    write_rows(*labelled(9))
    with pytest.raises(ValueError, match="a source is called 'feedback'; that is the name of what people said"):
        checked(one_task(rows_source(name="feedback")))
