"""Gold items: certain, fair, about equally many of each fault; an item that the owner makes one."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select

from tasks.cleaning.words import split_words
from tasks.judging.examination.stories import Story
from tasks.reviews.collecting import collect
from tasks.reviews.database import Database
from tasks.reviews.gold import FAULTS, MOST_WORDS, Gold, gold_items, make_gold
from tasks.reviews.progress import full_batches
from tasks.reviews.tables import Assignment, Batch, Item
from tests.conftest import refused
from tests.tasks.reviews.small import NOW, answer, deal, params, person, publish, sent

TEXT = (
    "One morning a little rabbit named Willow went to the river with {friend}. She looked at the water and walked "
    "along the bank. {friend} wanted to catch a fish in the cold water, but the fish swam under a stone. They laughed "
    "and played until dark. Then Willow found a golden button in the grass. She said that it was a present for her "
    "mother. They walked home together in the quiet light of the moon. {friend} told her mother about the button, and "
    "everybody was happy."
)
FRIENDS = ("Cricket", "Tuck", "Smudge", "Pip", "Olive", "Bramble", "Fern", "Moss", "Clover", "Reed", "Dot", "Hazel")


def stories(count: int = 12, *, text: str = TEXT) -> list[Story]:
    return [
        Story(id=friend, text=text.format(friend=friend), words=("river", "button", "cold"))
        for friend in FRIENDS[:count]
    ]


def test_each_holds_a_whole_story_and_the_same_with_one_kind_of_fault() -> None:
    found = gold_items(stories(), count=12, seed="1")
    whole = {story.text for story in stories()}
    assert len(found) == 12
    assert all(one.better.answer in whole and one.worse.answer not in whole for one in found)
    assert len({one.better.prompt_id for one in found}) == 12
    often = Counter(one.fault for one in found)
    assert set(often) == {fault.name for fault in FAULTS}
    assert max(often.values()) <= 3


@pytest.mark.parametrize("gold", gold_items(stories(), count=12, seed="1"), ids=lambda gold: gold.fault)
def test_the_fault_cannot_be_overlooked_and_the_request_is_met_by_both(gold: Gold) -> None:
    good, bad = (split_words(text) for text in (gold.better.answer, gold.worse.answer))
    changed = sum(one != other for one, other in zip(good, bad, strict=False)) + abs(len(good) - len(bad))
    assert changed >= 6
    assert {"river", "button", "cold"} <= set(good) & set(bad)
    assert gold.better.prompt == gold.worse.prompt


def test_a_story_too_long_to_check_somebody_with_is_left_out() -> None:
    assert gold_items(stories(2, text=f"{TEXT} {TEXT}"), count=5, seed="1") == []
    assert len(split_words(TEXT)) < MOST_WORDS


def test_the_same_seed_gives_the_same_items() -> None:
    assert gold_items(stories(), count=6, seed="1") == gold_items(stories(), count=6, seed="1")


def test_the_owner_makes_an_item_gold_and_the_batch_no_longer_waits_for_it(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=3, double_each=1)
        ada = person(session)
        for card in deal(session, ada, 2):
            answer(session, ada, sent(card))
        right = session.get_one(Item, "batch-1/2").shown[0].generation_id
        make_gold(session, "batch-1/2", {"winner": right})
    with review_database.session() as session:
        assert session.get_one(Item, "batch-1/2").gold == {"winner": right}
        assert session.scalars(select(Assignment.id).where(Assignment.item_id == "batch-1/2")).all() == []
        assert session.get_one(Batch, "batch-1").quota == 4
        bo = person(session, "Bo")
        for card in deal(session, bo, 2):
            answer(session, bo, sent(card))
        assert full_batches(session) == ["batch-1"]


def test_what_is_no_decision_on_the_item_makes_it_no_gold_one(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=4, kinds=("choice", "ranking", "rating", "correction"))
        with refused("not a decision on a choice of g-batch-1-0-0, g-batch-1-0-1"):
            make_gold(session, "batch-1/0", {"winner": "somebody"})
        with refused("not a decision on a ranking"):
            make_gold(session, "batch-1/1", {"tiers": [["g-batch-1-1-0"]]})
        with refused("not a decision on a correction"):
            make_gold(session, "batch-1/3", {"text": "A text."})
        with refused("there is no item 'batch-1/9'"):
            make_gold(session, "batch-1/9", {"winner": "tie"})
        make_gold(session, "batch-1/2", {"scores": {"grammar": 4, "plot": 2}})


@pytest.mark.usefixtures("workspace")
def test_what_is_in_a_batch_file_stays_what_it_was(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=1)
        ada = person(session)
        answer(session, ada, sent(deal(session, ada)[0]))
    collect(review_database, params=params(), now=NOW + timedelta(hours=1))
    with review_database.session() as session, refused("batch files are never changed"):
        make_gold(session, "batch-1/0", {"winner": "tie"})
