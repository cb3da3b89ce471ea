"""Who is given which card, and in what order."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tasks.reviews import chains
from tasks.reviews.cards import Answer, Card
from tasks.reviews.database import Database
from tasks.reviews.tables import Assignment, Batch, Item, Reviewer
from tests.conftest import refused
from tests.tasks.reviews.small import NOW, SECOND, answer, deal, person, publish, sent, skip

LATER = NOW + timedelta(hours=1)  # every lease has ended


def numbers(cards: list[Card]) -> list[int]:
    return [card.assignment for card in cards]


def slots(session: Session, reviewer: Reviewer) -> list[str]:
    own = select(Assignment).where(Assignment.reviewer_id == reviewer.id).order_by(Assignment.lease_until)
    return [assignment.slot for assignment in session.scalars(own)]


def answer_all(session: Session, reviewer: Reviewer, **changes: Any) -> list[Card]:
    """Answers card by card until nothing is left, as the page does: three are always held in advance."""
    answered = []
    while cards := deal(session, reviewer, 4, now=NOW + len(answered) * SECOND, **changes):
        answer(session, reviewer, sent(cards[0]), now=NOW + len(answered) * SECOND)
        answered.append(cards[0])
    return answered


def test_a_reload_shows_the_same_cards(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=30, gold=10)
        ada = person(session)
        first = deal(session, ada, 4, gold_share=0.5)
    for moment in (1, 200, 400, 4000):
        with review_database.session() as session:
            assert deal(session, ada, 4, gold_share=0.5, now=NOW + moment * SECOND) == first
            assert deal(session, ada, 1, gold_share=0.5, now=NOW + moment * SECOND) == first[:1]


def test_new_cards_come_behind_those_held(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=30, gold=10)
        ada = person(session)
        held = deal(session, ada, 4, gold_share=0.3)
        for _ in range(12):
            answer(session, ada, sent(held[0]))
            after = deal(session, ada, 4, gold_share=0.3)
            assert after[:3] == held[1:]
            assert len(after) == 4
            held = after


def test_cards_are_handed_out_from_the_first_published(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=3)
        publish(session, items=3, name="batch-2", now=NOW + SECOND)
        cards = deal(session, person(session), 9)
        assert [card.item for card in cards] == [f"batch-{batch}/{n}" for batch in (1, 2) for n in range(3)]


def test_nobody_is_given_what_another_holds(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=6)
        ada, bo = person(session), person(session, "Bo")
        given = numbers(deal(session, ada, 4)) + numbers(deal(session, bo, 4))
        assert sorted(given) == sorted(set(given))
        assert len(given) == 6


def test_an_ended_lease_is_free_for_others(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=2)
        ada, bo = person(session), person(session, "Bo")
        held = deal(session, ada, 2)
        assert deal(session, bo, 2, now=NOW + 599 * SECOND) == []
        assert numbers(deal(session, bo, 2, now=LATER)) == numbers(held)
        assert deal(session, ada, 2, now=LATER) == []


def test_whoever_goes_on_keeps_their_leases(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=2)
        ada, bo = person(session), person(session, "Bo")
        held = deal(session, ada, 2)
        for minute in range(0, 60, 6):
            assert deal(session, ada, 2, now=NOW + minute * 60 * SECOND) == held
        assert deal(session, bo, 2, now=NOW + 55 * 60 * SECOND) == []


def test_a_late_answer_counts_where_nobody_took_the_card(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=2)
        ada, bo = person(session), person(session, "Bo")
        mine, taken = deal(session, ada, 2)
        assert answer(session, ada, sent(mine), now=LATER).is_new
        deal(session, bo, 2, now=LATER)
        with refused("went to somebody else"):
            answer(session, ada, sent(taken), now=LATER)


def test_a_second_opinion_is_another_persons(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=4, double_each=2)
        ada, bo, cy = person(session), person(session, "Bo"), person(session, "Cy")
        assert [card.item for card in answer_all(session, ada)] == [f"batch-1/{n}" for n in range(4)]
        assert [card.item for card in answer_all(session, bo)] == ["batch-1/0", "batch-1/2"]
        assert answer_all(session, cy) == []


def test_one_card_in_ten_is_gold_and_none_comes_twice(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=90, gold=30)
        ada, bo = person(session), person(session, "Bo")
        for reviewer in (ada, bo):
            cards = [deal(session, reviewer, 4, gold_share=0.1)[0] for _ in range(1)]
            for _ in range(40):
                cards = deal(session, reviewer, 4, gold_share=0.1)
                answer(session, reviewer, sent(cards[0]))
        for reviewer in (ada, bo):
            dealt = slots(session, reviewer)
            assert abs(dealt.count(f"gold:{reviewer.id}") - len(dealt) / 10) <= 1
            places = [place for place, slot in enumerate(dealt) if slot.startswith("gold")]
            assert len({place % 10 for place in places}) > 1  # nobody can count to it
        items = session.scalars(select(Assignment.item_id).where(Assignment.slot == f"gold:{ada.id}")).all()
        assert len(items) == len(set(items))


def test_gold_is_never_the_only_thing_left(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=0, gold=5)
        assert deal(session, person(session), 4, gold_share=0.9) == []


def test_without_gold_items_the_ordinary_ones_go_on(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=12, gold=1)
        ada = person(session)
        assert len(answer_all(session, ada, gold_share=0.5)) == 13


def test_a_choice_is_shown_again_with_its_sides_swapped(review_database: Database) -> None:
    changes = {"again_share": 0.9999, "again_after": 5}
    with review_database.session() as session:
        publish(session, items=12)
        ada = person(session)
        answered = answer_all(session, ada, **changes)
        assert [card.item for card in answered[:8]] == [f"batch-1/{n}" for n in range(8)]
        first = {card.item: place for place, card in reversed(list(enumerate(answered)))}
        repeats = [(place, card) for place, card in enumerate(answered) if first[card.item] != place]
        assert len(repeats) >= 5
        for place, card in repeats:
            before = answered[first[card.item]]
            assert place - first[card.item] > 5
            assert card.answers == before.answers[::-1]
            assert replace(card, assignment=0, answers=()) == replace(before, assignment=0, answers=())
        assert len({card.item for _, card in repeats}) == len(repeats)
        assert sum(row.assignment.is_again for row in chains.live(session)) == len(repeats)


def test_only_the_drawn_share_of_choices_is_shown_again(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=60, kinds=("choice", "rating"))
        ada = person(session)
        answered = answer_all(session, ada, again_share=0.3)
        repeated = [row.item for row in chains.live(session) if row.assignment.is_again]
        assert 3 <= len(repeated) <= 16  # of 30 choices, some of them too near the end
        assert {item.kind for item in repeated} == {"choice"}
        assert len(answered) == 60 + len(repeated)


def test_what_somebody_skipped_is_not_shown_to_them_again(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=3, gold=2, double_each=1)
        ada, bo = person(session), person(session, "Bo")
        skipped = {skip(session, ada, card).annotation: card.item for card in deal(session, ada, 5, gold_share=0.5)}
        assert len(skipped) == 5
        assert deal(session, ada, 5, gold_share=0.5, now=LATER) == []
        assert len(deal(session, bo, 5, gold_share=0.5)) == 5


def test_what_many_skipped_is_set_aside(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=1, double_each=1)
        people = [person(session, name) for name in ("Ada", "Bo", "Cy")]
        for reviewer in people[:2]:
            skip(session, reviewer, deal(session, reviewer)[0])
        assert deal(session, people[2]) == []
        assert session.scalars(select(Item.set_aside_at)).all() == [NOW]


def test_a_collected_batch_hands_out_nothing(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=9, gold=3)
        ada = person(session)
        held = deal(session, ada, 2)
        session.scalars(select(Batch)).one().closed_at = NOW
        session.flush()
        assert deal(session, ada, 4, gold_share=0.5) == []
        assert answer(session, ada, sent(held[0])).is_new  # what was on the screen is not lost


def test_who_was_revoked_is_given_nothing(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session)
        ada = person(session)
        ada.is_active = False
    with review_database.session() as session, refused("invitation was ended"):
        deal(session, ada)


def test_a_card_says_nothing_of_where_its_answers_come_from(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=3, gold=3, kinds=("ranking",))
        ada = person(session)
        for card in deal(session, ada, 6, gold_share=0.5):
            told = str(card)
            assert not [word for word in ("finetuned", "aligned", "base", "heuristic", "gold") if word in told]
    assert {field.name for field in fields(Answer)} == {"generation", "text"}


@pytest.mark.parametrize("people", [40])
def test_each_side_is_left_as_often_as_the_other(review_database: Database, people: int) -> None:
    with review_database.session() as session:
        publish(session, items=5, double_each=1)
        lefts = 0
        for number in range(people):
            reviewer = person(session, f"P{number}")
            for card in deal(session, reviewer, 5):
                lefts += card.answers[0].generation.endswith("-0")
                skip(session, reviewer, card, most_skips=1000)
        assert 70 <= lefts <= 130  # of 200
