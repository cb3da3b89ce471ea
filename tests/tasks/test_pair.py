"""Verdicts and decisions to pairs: counted, split by the prompt, traced to who said so."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.judging.kept import write_lines
from tasks.judging.records import Item, PairRecord
from tasks.pair import PairParams, pair
from tasks.reviews.batch_file import Answer, Prompt
from tests.conftest import refused
from tests.tasks import small
from tests.tasks.reviews import test_batch_file as batch_file

ANSWERS, LABELLED, FEEDBACK = Path("data/sampled.jsonl"), Path("data/labelled"), Path("data/feedback")
PAIRS, METRICS = Path("data/pairs"), Path("metrics/pair.json")
PARAMS = {
    "least_margin": 0.1, "judge_until": None, "judge_share": 0.0, "most_of_a_prompt": 2, "longer_off_half": 0.5,
    "held_out_jaccard": 0.6, "validation_share": 0.3, "seed": 1,
}  # fmt: skip
SUBJECTS = ("boat", "kite", "drum", "snail", "clock", "apple", "ladder", "button", "whistle", "puddle")


def item(number: int, draw: int) -> Item:
    subject = SUBJECTS[number]
    return Item(
        prompt_id=f"p{number}", kind="story", prompt=f"Write a story about a {subject}, and call it {subject * 2}.",
        answer=f"The {subject} went out {draw} times.", by="finetuned",
    )  # fmt: skip


ITEMS = [item(number, draw) for number in range(len(SUBJECTS)) for draw in (1, 2)]


def verdict(number: int, **changes: Any) -> PairRecord:
    first, second = ITEMS[2 * number : 2 * number + 2]
    record = PairRecord(
        judge="heuristic-a@1", first=first.id, second=second.id, status="ok", winner="first", margin=0.4,
        orders=("first", "first"),
    )  # fmt: skip
    return replace(record, **changes)


def decision(number: int, *, winner: str, annotation: int = 1) -> Any:
    """A person's choice between the two answers to a prompt."""
    shown = [
        Answer(generation=f"g{at}", judged_item=one.id, text=one.answer, model="finetuned", model_version="",
               decoding={}) for at, one in enumerate(ITEMS[2 * number : 2 * number + 2])
    ]  # fmt: skip
    prompt = Prompt(
        id=f"p{number}", text=ITEMS[2 * number].prompt, document="", task="story", cluster=f"p{number}", split="train"
    )
    return batch_file.row(annotation, answers=tuple(shown), prompt=prompt, decision={"winner": winner})


@pytest.fixture(autouse=True)
def made(workspace: Path) -> None:
    small.write_workspace()
    FEEDBACK.mkdir(parents=True)
    write_lines(ANSWERS, ITEMS)


def run(records: Sequence[PairRecord], **changes: Any) -> dict[str, Any]:
    write_lines(LABELLED / "pairs.jsonl", records)
    params = PairParams.model_validate_json(json.dumps({**PARAMS, **changes}))
    paths = {"answers": ANSWERS, "labelled": LABELLED, "feedback": FEEDBACK, "mixture": small.MIXTURE}
    pair(params, **paths, pairs=PAIRS, metrics=METRICS)
    return dict(json.loads(METRICS.read_text()))


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (PAIRS / f"{name}.jsonl").read_text().splitlines()]


def every_pair() -> dict[str, dict[str, Any]]:
    return {row["prompt_id"]: row for split in ("train", "validation") for row in rows(split)}


def test_verdicts_become_pairs_and_the_rest_is_counted() -> None:
    figures = run(
        [
            *(verdict(number) for number in range(5)),
            verdict(5, winner="tie", margin=0.0, orders=("first", "second")),
            verdict(6, winner="tie", margin=0.0, orders=("tie", "tie")),
            verdict(7, margin=0.05),
            verdict(8, status="unsupported", winner=None, margin=None, orders=()),
        ]
    )
    assert figures["pairs"] == 5
    counted = {name: figures[f"rejected_{name}"] for name in ("flipped", "tie", "small_margin", "no_verdict")}
    assert counted == {"flipped": 1, "tie": 1, "small_margin": 1, "no_verdict": 1}
    assert sum(value for name, value in figures.items() if name.startswith("rejected_")) + figures["pairs"] == 9


def test_a_prompt_is_in_one_split() -> None:
    figures = run([verdict(number) for number in range(10)])
    train, validation = ({row["cluster"] for row in rows(split)} for split in ("train", "validation"))
    assert not train & validation
    assert (len(train), len(validation)) == (figures["pairs_train"], figures["pairs_validation"])
    assert validation


def test_a_person_overrules_the_judge() -> None:
    batch_file.write(FEEDBACK, [decision(0, winner="g1")])
    figures = run([verdict(0), verdict(1)])
    found = every_pair()
    assert found["p0"]["chosen"] == ITEMS[1].answer
    assert (found["p0"]["source"], found["p1"]["source"]) == ("human", "judge")
    assert (figures["rejected_overruled"], figures["pairs_of_people"], figures["pairs_of_judge"]) == (1, 1, 1)


def test_the_judge_stands_in_until_people_have_said_enough() -> None:
    batch_file.write(FEEDBACK, [decision(0, winner="g1"), decision(1, winner="g0", annotation=2)])
    records = [verdict(number) for number in range(len(SUBJECTS))]
    assert run(records, judge_until=3)["pairs_of_judge"] == len(SUBJECTS) - 2
    figures = run(records, judge_until=2)
    assert (figures["pairs_of_people"], figures["pairs_of_judge"]) == (2, 0)
    assert figures["rejected_stood_in"] == len(SUBJECTS) - 2
    vetoed = [*records[:-1], verdict(len(SUBJECTS) - 1, margin=1.0)]
    assert run(vetoed, judge_until=2)["pairs_of_judge"] == 1


def test_the_judges_surest_keep_a_share_beside_people() -> None:
    batch_file.write(FEEDBACK, [decision(0, winner="g1"), decision(1, winner="g0", annotation=2)])
    sure = {3: 0.9, 5: 0.8, 6: 0.7, 8: 0.6}
    records = [
        verdict(number, winner="first" if number % 2 else "second", margin=sure.get(number, 0.2))
        for number in range(2, len(SUBJECTS))
    ]
    items = [*ITEMS[:4], *(replace(one, answer=one.answer + " Again." * (at % 2)) for at, one in enumerate(ITEMS[4:]))]
    write_lines(ANSWERS, items)
    pairs = zip(items[4::2], items[5::2], strict=True)
    records = [
        replace(one, first=first.id, second=second.id) for one, (first, second) in zip(records, pairs, strict=True)
    ]
    figures = run(records, judge_until=2, judge_share=1.0)
    assert (figures["pairs_of_people"], figures["pairs_of_judge"]) == (2, 2)
    assert {name for name, row in every_pair().items() if row["source"] == "judge"} == {"p3", "p6"}  # of either length
    assert run(records, judge_until=2, judge_share=0.5)["pairs_of_judge"] == 0


def test_where_a_person_sees_a_tie_the_judge_is_not_asked() -> None:
    batch_file.write(FEEDBACK, [decision(0, winner="tie")])
    assert list(every_pair() if run([verdict(0), verdict(1)]) else ()) == ["p1"]


def test_rounds_accumulate() -> None:
    batch_file.write(FEEDBACK, [decision(0, winner="g1")], name="a")
    batch_file.write(FEEDBACK, [decision(1, winner="g1", annotation=2)], name="b")
    run([verdict(2)])
    assert {name: row["source"] for name, row in every_pair().items()} == {"p0": "human", "p1": "human", "p2": "judge"}


def test_the_manifest_says_who_said_so() -> None:
    batch_file.write(FEEDBACK, [decision(0, winner="g1")])
    run([verdict(1), verdict(2)])
    manifest = json.loads((PAIRS / "manifest.json").read_text())
    assert manifest["judges"] == {"heuristic-a@1": 2}
    assert (manifest["reviewers"], manifest["batches"]) == ({"reader-abc123": 1}, {"b": 1})


def test_the_same_input_gives_the_same_bytes() -> None:
    records = [verdict(number) for number in range(6)]
    run(records)
    first = {path.name: path.read_bytes() for path in PAIRS.iterdir()}
    run(records)
    assert {path.name: path.read_bytes() for path in PAIRS.iterdir()} == first


def test_nothing_left_is_one_line() -> None:
    with refused(r"no pair is left \(1 small_margin\); a smaller pair.least_margin"):
        run([verdict(0, margin=0.01)])
    assert not PAIRS.exists()


def test_a_verdict_on_an_unknown_answer_is_one_line() -> None:
    with refused("a verdict on an answer that was not sampled"):
        run([verdict(0, first="0123456789abcdef")])


def test_a_changed_batch_file_is_one_line() -> None:
    batch_file.write(FEEDBACK, [decision(0, winner="g1")], sha256="0" * 64)
    with refused(r"b\.jsonl: not what b\.manifest\.json says"):
        run([verdict(1)])


def test_votes_on_the_hold_out_leave_every_byte_of_the_pairs_as_it_is() -> None:
    records = [verdict(number) for number in range(len(SUBJECTS))]
    run(records)
    before = {path.name: path.read_bytes() for path in PAIRS.iterdir()}
    vote = decision(0, winner="g1")
    batch_file.write(
        FEEDBACK, [vote.model_copy(update={"prompt": vote.prompt.model_copy(update={"split": "holdout"})})]
    )
    assert run(records)["rejected_not_for_training"] == 1
    assert {path.name: path.read_bytes() for path in PAIRS.iterdir()} == before
