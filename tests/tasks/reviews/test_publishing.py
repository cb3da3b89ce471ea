"""A batch is published from what a chain left: on both databases, nothing twice, each cluster in one split."""

import hashlib
import json
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from tasks.judging.kept import read_items, write_lines
from tasks.reviews import publishing
from tasks.reviews.database import Database
from tasks.reviews.params import ReviewParams
from tasks.reviews.publishing import Origin, Outputs, Published, present_origin
from tasks.reviews.tables import Assignment, Batch, Generation, Item, Prompt
from tests.conftest import refused
from tests.tasks.judging.contests import grades
from tests.tasks.reviews import small
from tests.tasks.reviews.outputs import write_outputs
from tests.tasks.reviews.small import NOW, answer, deal, person, sent

PARAMS = small.params(
    batch_items=10,
    kinds={"choice": 0.5, "ranking": 0.2, "rating": 0.2, "correction": 0.1},
    gold_share=0.1,
    double_share=0.2,
)


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    return write_outputs(tmp_path / "data")


def publish(
    database: Database, outputs: Outputs, *, name: str | None = None, params: ReviewParams = PARAMS, days: int = 0
) -> Published:
    now = NOW + timedelta(days=days)
    return publishing.publish(
        database, params=params, now=now, outputs=outputs, name=name,
        origin=Origin(versions={"finetuned": "0123abcd.dir"}, mlflow_run="a-run"),
    )  # fmt: skip


def test_a_batch_holds_what_was_asked_for(review_database: Database, outputs: Outputs) -> None:
    made = publish(review_database, outputs)
    assert made.kinds == {"choice": 5, "ranking": 2, "rating": 2, "correction": 1}
    assert (made.doubles, made.gold, made.quota) == (2, 2, 12)
    with review_database.reading() as session:
        batch = session.get_one(Batch, made.batch)
        assert batch.quota == 12
        assert batch.settings["batch_items"] == 10
        assert [item.position for item in batch.items] == list(range(12))
        slots = Counter(session.scalars(select(Assignment.slot)))
        assert slots == {"1": 10, "2": 2}
        doubled = session.scalars(select(Item).join(Assignment).where(Assignment.slot == "2"))
        assert all(item.kind != "correction" and item.gold is None for item in doubled)
        found = session.scalars(select(Generation).where(Generation.model == "finetuned")).first()
        assert found is not None
        assert (found.model_version, found.mlflow_run) == ("0123abcd.dir", "a-run")
    assert made.batch.startswith("2026-11-22-")


def test_slots_are_handed_out_in_the_order_of_the_batch(review_database: Database, outputs: Outputs) -> None:
    publish(review_database, outputs)
    with review_database.reading() as session:
        rows = session.execute(select(Item.position).join(Assignment).order_by(Assignment.id)).scalars().all()
    assert rows == sorted(rows)


def test_what_the_judge_said_is_told_of_generations(review_database: Database, outputs: Outputs) -> None:
    publish(review_database, outputs)
    with review_database.reading() as session:
        for item in session.scalars(select(Item).where(Item.gold.is_(None))):
            shown = {one.generation_id for one in item.shown}
            told = item.judge
            tiers = told["tiers"] if "tiers" in told else [[told["winner"]]] if "winner" in told else []
            named = {one for tier in tiers for one in tier} - {"tie"}
            assert named <= shown
            assert told["judge"]


def test_gold_items_are_choices_that_nobody_can_tell_by_their_names(
    review_database: Database, outputs: Outputs
) -> None:
    made = publish(review_database, outputs)
    with review_database.reading() as session:
        gold = session.scalars(select(Item).where(Item.gold.is_not(None)).order_by(Item.position)).all()
        assert [item.prompt.split for item in gold] == ["gold", "gold"]
        for item in gold:
            right = {shown.generation_id for shown in item.shown if shown.generation.model == "real"}
            assert item.gold == {"winner": right.pop()}
            assert item.id == f"{made.batch}/{item.position + 1}"
            assert session.scalars(select(Assignment).where(Assignment.item_id == item.id)).all() == []


def test_nothing_is_shown_twice_over_batches_until_nothing_is_left(review_database: Database, outputs: Outputs) -> None:
    batches = 0
    with refused("nothing of labelled is left to show"):
        while batches < 20:
            publish(review_database, outputs, days=batches)
            batches += 1
    assert 3 < batches < 20
    seen: Counter[tuple[str, ...]] = Counter()
    with review_database.reading() as session:
        for item in session.scalars(select(Item)):
            seen.update(publishing.together([shown.generation.judged_item for shown in item.shown]))
    assert max(seen.values()) == 1


def test_labelled_prompts_are_for_training_and_judged_ones_held_out(
    review_database: Database, outputs: Outputs
) -> None:
    publish(review_database, outputs)
    publish(review_database, outputs, params=PARAMS.model_copy(update={"source": "judged"}))
    with review_database.reading() as session:
        splits = Counter(session.scalars(select(Prompt.split)))
        models = {
            prompt.split: {one.model for one in session.scalars(select(Generation).filter_by(prompt_id=prompt.id))}
            for prompt in session.scalars(select(Prompt))
        }
    assert set(splits) == {"train", "holdout", "gold"}
    assert models["train"] == {"finetuned"}
    assert models["holdout"] <= {"base", "finetuned"}


def test_people_can_compare_what_the_gate_compared(review_database: Database, outputs: Outputs) -> None:
    publish(review_database, outputs, params=PARAMS.model_copy(update={"source": "gated", "kinds": {"choice": 1.0}}))
    with review_database.reading() as session:
        shown = [
            (item.prompt.split, {one.generation.model for one in item.shown})
            for item in session.scalars(select(Item).where(Item.gold.is_(None)))
        ]
    assert shown
    assert {split for split, _ in shown} == {"holdout"}
    assert all(models == {"aligned", "champion"} for _, models in shown)


def test_a_cluster_stays_in_its_split_for_ever(review_database: Database, tmp_path: Path) -> None:
    outputs = write_outputs(tmp_path / "data", judged_from=0)  # the hold-out's prompts are those of training
    first = publish(review_database, outputs)
    with review_database.reading() as session:
        used = set(session.scalars(select(Prompt.id).where(Prompt.split == "train")))
    second = publish(review_database, outputs, params=PARAMS.model_copy(update={"source": "judged"}))
    assert first.refused == {}
    assert second.refused == {"train": len(used)}
    assert f"prompts refused: {len(used)} of train" in second.line
    with review_database.reading() as session:
        by_cluster: dict[str, set[str]] = {}
        for prompt in session.scalars(select(Prompt)):
            by_cluster.setdefault(prompt.cluster, set()).add(prompt.split)
    assert all(len(splits) == 1 for splits in by_cluster.values())


def test_people_who_decided_otherwise_bring_their_prompt_forward(review_database: Database, outputs: Outputs) -> None:
    choices = PARAMS.model_copy(update={"kinds": {"choice": 1.0}, "gold_share": 0, "double_share": 0, "batch_items": 6})
    publish(review_database, outputs, params=choices)
    with review_database.session() as session:
        ada = person(session)
        differed = []
        for card in deal(session, ada, 6):
            item = session.get_one(Item, card.item)
            agrees = len(differed) >= 2
            side = "both_bad" if not agrees else _side_of_judge(item, [one.generation for one in card.answers])
            differed += [] if agrees else [item.prompt_id]
            answer(session, ada, sent(card, said={"side": side}))
    publish(review_database, outputs, params=choices.model_copy(update={"batch_items": 12}), days=1, name="second")
    with review_database.reading() as session:
        order = [item.prompt_id for item in session.get_one(Batch, "second").items]
    assert set(differed) <= set(order)


def _side_of_judge(item: Item, sides: list[str]) -> str:
    winner = item.judge["winner"]
    return "tie" if winner == "tie" else "left" if winner == sides[0] else "right"


def test_a_text_that_no_database_takes_is_kept_as_near_as_can_be(review_database: Database, outputs: Outputs) -> None:
    items = [replace(item, prompt=f"{item.prompt} \x00") for item in read_items(outputs.sampled)]
    write_lines(outputs.sampled, items)
    outputs.sampled.write_text(outputs.sampled.read_text().replace("finetuned told", "\\ud800 told"))
    write_lines(outputs.labelled / "scores.jsonl", [grades(one, {"a": 3}) for one in read_items(outputs.sampled)])
    publish(review_database, outputs, params=PARAMS.model_copy(update={"kinds": {"rating": 1.0}}))
    with review_database.reading() as session:
        prompts = session.scalars(select(Prompt.text).where(Prompt.split == "train")).all()
        texts = session.scalars(select(Generation.text).where(Generation.model == "finetuned")).all()
    assert prompts
    assert all(text.endswith(" \ufffd") for text in prompts)
    assert all(text.startswith("? told") for text in texts)


def test_a_name_is_taken_once_and_must_be_one(review_database: Database, outputs: Outputs) -> None:
    assert publish(review_database, outputs, name="first-week").batch == "first-week"
    with refused("there is a batch 'first-week' already"):
        publish(review_database, outputs, name="first-week")
    for wrong in ("First", "a/b", "week-2", "-a", "", "x" * 41):
        with refused("is no name of a batch"):
            publish(review_database, outputs, name=wrong)


def test_without_the_stories_for_gold_items_it_says_so(review_database: Database, outputs: Outputs) -> None:
    (outputs.clean / "judge_a.parquet").unlink()
    with refused(r"judge_a\.parquet: no such file"):
        publish(review_database, outputs)
    publish(review_database, outputs, params=PARAMS.model_copy(update={"gold_share": 0.0}))


def test_an_answers_origin_is_the_chains(workspace: Path) -> None:
    assert present_origin() == Origin()
    lock = "schema: '2.0'\nstages:\n  finetune:\n    cmd: x\n    outs:\n    - {path: models/finetuned, md5: 0a.dir}\n"
    (workspace / "dvc.lock").write_text(lock)
    assert present_origin() == Origin(versions={"finetuned": "0a.dir"})
    registered = {"run_id": "a-run", "lock_hash": hashlib.sha256(lock.encode()).hexdigest()}
    (workspace / "var").mkdir()
    (workspace / "var" / "registered.json").write_text(json.dumps(registered))
    assert present_origin().mlflow_run == "a-run"
    (workspace / "dvc.lock").write_text(lock.replace("0a", "0b"))
    assert present_origin() == Origin(versions={"finetuned": "0b.dir"})


def test_two_that_publish_at_once_publish_different_items(review_database: Database, outputs: Outputs) -> None:
    made: list[Published] = []

    def run(name: str) -> None:
        made.append(publish(review_database, outputs, name=name))

    threads = [threading.Thread(target=run, args=(f"batch-{letter}",)) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    seen: Counter[tuple[str, ...]] = Counter()
    with review_database.reading() as session:
        for item in session.scalars(select(Item)):
            seen.update(publishing.together([shown.generation.judged_item for shown in item.shown]))
    assert max(seen.values()) == 1
