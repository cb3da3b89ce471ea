"""What the owner sees: how far each batch is, how far people agree, each reviewer's figures."""

import math

from tasks.reviews.agreement import PAIRS
from tasks.reviews.database import Database
from tasks.reviews.overview import batch_overview, overview
from tests.tasks.reviews.small import NOW, PARAMS, answer, deal, person, publish, sent, skip


def test_two_people_on_the_same_items(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=8, kinds=("choice", "rating"), double_each=1)
        people = [person(session), person(session, "Bo")]
        for who in people:
            for card in deal(session, who, 8):
                shown = [one.generation for one in card.answers]
                number = int(card.item.split("/")[1])
                wanted = shown.index(sorted(shown)[number // 2 % 2]) if card.kind == "choice" else 0
                said = {"side": ("left", "right")[wanted]}
                if card.kind == "rating":
                    said = {"scores": {"grammar": 1 + number // 2, "plot": 5 if who is people[0] else 1}}
                answer(session, who, sent(card, said=said))
        found = overview(session, PARAMS, now=NOW)
    (batch,) = found.batches
    assert (batch.done, batch.wanted, batch.items) == (16, 16, {"choice": 4, "rating": 4})
    assert batch.of_pairs is not None
    assert (batch.of_pairs.alpha.value, batch.of_pairs.units) == (1, 4)
    assert batch.agreement["grammar"].alpha.value == 1
    assert batch.agreement["plot"].same.value == 0
    assert batch.agreement["plot"].alpha.value < 0
    assert found.agreement == batch.agreement
    assert [person.quality.answers for person in found.reviewers if person.quality] == [8, 8]


def test_gold_items_and_repeats_are_no_agreement(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=2, gold=3)
        ada, bo = person(session), person(session, "Bo")
        for who in (ada, bo):
            for _ in range(4):
                for card in deal(session, who, gold_share=0.99):
                    answer(session, who, sent(card))
        found = overview(session, PARAMS, now=NOW)
    assert found.batches[0].gold == 3
    pairs = found.agreement.get(PAIRS)
    assert pairs is None or pairs.units == 0
    assert sum(who.quality.gold.of for who in found.reviewers if who.quality) == 6


def test_before_anybody_said_anything(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=3, name="older")
        publish(session, items=2, name="newer", now=NOW.replace(hour=10))
        ada = person(session)
        skip(session, ada, deal(session, ada)[0])
        found = overview(session, PARAMS, now=NOW)
        assert [(batch.id, batch.done, batch.wanted) for batch in found.batches] == [("newer", 0, 2), ("older", 0, 3)]
        assert (found.reviewers[0].skips, found.reviewers[0].quality) == (1, None)
        assert found.agreement == {}
        assert batch_overview(session, "older", PARAMS) == found.batches[1]
        assert batch_overview(session, "none", PARAMS) is None


def test_one_person_agrees_with_nobody(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=3)
        ada = person(session)
        for card in deal(session, ada, 3):
            answer(session, ada, sent(card))
        pairs = overview(session, PARAMS, now=NOW).agreement[PAIRS]
    assert pairs.units == 0
    assert math.isnan(pairs.alpha.value)
