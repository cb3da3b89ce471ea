"""Who is left out and why: reviewers who are wrong, unsteady, one-sided or too quick, once enough is known of them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tasks.reviews import quality
from tasks.reviews.cards import Card
from tasks.reviews.database import Database
from tasks.reviews.params import QualityParams
from tasks.reviews.quality import Quality, Share, failing, qualities
from tasks.reviews.tables import Generation, Item, Reviewer
from tests.tasks.reviews.small import NOW, PARAMS, SECOND, answer, deal, person, publish, sent, undo


def limits(**changes: Any) -> QualityParams:
    """No check but those that are named."""
    most = 10**6
    return PARAMS.quality.model_copy(
        update={"min_gold": most, "min_again": most, "min_choices": most, "max_fast_share": 1.0, **changes}
    )


def say(session: Session, reviewer: Reviewer, card: Card, generation: str, *, milliseconds: int = 4000) -> None:
    """Chooses an answer by its id, or `tie`, wherever it is shown."""
    shown = [answer.generation for answer in card.answers]
    side = ("left", "right")[shown.index(generation)] if generation in shown else generation
    submission = sent(card, said={"side": side})
    answer(session, reviewer, submission.__class__(**{**vars(submission), "milliseconds": milliseconds}))


def of(session: Session, reviewer: Reviewer, **changes: Any) -> Quality:
    return qualities(session, limits(**changes), now=NOW)[reviewer.id]


def decide_gold(session: Session, reviewer: Reviewer, *, right: int, wrong: int) -> None:
    """Decides a batch that is half of gold items: the first of them rightly, the rest wrongly, others by a tie."""
    publish(session, items=right + wrong, gold=right + wrong)
    decided = 0
    while cards := deal(session, reviewer, gold_share=0.6):
        (card,) = cards
        item = session.get_one(Item, card.item)
        other = next(one.generation for one in card.answers if not item.gold or one.generation != item.gold["winner"])
        said = "tie" if item.gold is None else item.gold["winner"] if decided < right else other
        decided += item.gold is not None
        say(session, reviewer, card, said)
    assert decided == right + wrong


def test_gold_items_that_were_missed(review_database: Database) -> None:
    with review_database.session() as session:
        ada = person(session)
        decide_gold(session, ada, right=2, wrong=4)
        found = of(session, ada)
        assert (found.gold.part, found.gold.of) == (2, 6)
        assert (found.gold.low, found.gold.high) == pytest.approx((0.0433, 0.7772), abs=1e-4)  # Clopper and Pearson's
        assert failing(session, limits(min_gold=7), NOW) == {}  # too few to tell
        told = failing(session, limits(min_gold=6), NOW)
        assert told == {ada.id: "right on 2 of 6 gold items, at least 70% are asked for"}
        assert failing(session, limits(min_gold=6, min_gold_agreement=1 / 3), NOW) == {}


def test_two_that_are_alike_are_alike_again_good_or_bad(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=12)
        ada, seen = person(session), set[str]()
        while cards := deal(session, ada, again_share=0.99, again_after=8):
            (card,) = cards
            say(session, ada, card, "both_bad" if card.item in seen else "tie")
            seen.add(card.item)
        found = of(session, ada)
        assert found.again.part == found.again.of > 0


@pytest.mark.parametrize("steady", [True, False])
def test_what_is_said_again(review_database: Database, steady: bool) -> None:
    with review_database.session() as session:
        publish(session, items=12)
        ada = person(session)
        seen: set[str] = set()
        repeats = 0
        while cards := deal(session, ada, again_share=0.99, again_after=8):
            (card,) = cards
            is_again = card.item in seen
            seen.add(card.item)
            repeats += is_again
            say(session, ada, card, sorted(one.generation for one in card.answers)[not steady and is_again])
        found = of(session, ada)
        assert repeats >= 4
        assert (found.again.part, found.again.of) == (repeats if steady else 0, repeats)
        assert (found.left.of, found.fast.of) == (12 + repeats, 12)
        assert bool(failing(session, limits(min_again=4), NOW)) is not steady


def test_one_side_whatever_stands_there(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=10)
        ada, bo = person(session), person(session, "Bo")
        for at in range(10):
            who = ada if at < 6 else bo
            card = deal(session, who)[0]
            say(session, who, card, "tie" if at == 0 else card.answers[1].generation)
        found = of(session, ada)
        assert (found.left.part, found.left.of) == (0, 5)  # a tie takes no side
        told = failing(session, limits(min_choices=5), NOW)
        assert told == {ada.id: "chose one side in 5 of 5, at most 85%"}


def test_sooner_than_anybody_reads(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=4)
        for generation in session.query(Generation):
            generation.text = "word " * 45  # two of them: 6 s at 900 words a minute
        ada = person(session)
        for at in range(4):
            card = deal(session, ada)[0]
            say(session, ada, card, card.answers[at % 2].generation, milliseconds=(5999, 6000, 9000, 100)[at])
        assert (of(session, ada).fast.part, of(session, ada).fast.of) == (2, 4)
        assert of(session, ada).median_ms == pytest.approx((5999 + 6000) / 2)
        strict = limits(min_choices=4, max_fast_share=0.3)
        assert failing(session, strict, NOW) == {ada.id: "2 of 4 sooner than anybody reads, at most 30%"}


def test_only_what_is_in_force_by_then_counts(review_database: Database) -> None:
    with review_database.session() as session:
        publish(session, items=3)
        ada = person(session)
        for _ in range(2):
            card = deal(session, ada)[0]
            say(session, ada, card, card.answers[0].generation)
        undo(session, ada, now=NOW + SECOND)
        answer(session, ada, sent(deal(session, ada)[0], said={"side": "right"}), now=NOW + timedelta(days=1))
        assert (of(session, ada).left.part, of(session, ada).left.of) == (1, 1)
        later = qualities(session, limits(), now=NOW + timedelta(days=2))[ada.id]
        assert (later.left.part, later.left.of) == (1, 2)


@pytest.mark.parametrize(
    ("decision", "gold", "is_right"),
    [
        ({"winner": "a"}, {"winner": "a"}, True),
        ({"winner": "tie"}, {"winner": "a"}, False),
        ({"tiers": [["a"], ["b", "c"]]}, {"winner": "a"}, True),
        ({"tiers": [["a", "b"], ["c"]]}, {"winner": "a"}, False),
        ({"scores": {"grammar": 4, "plot": 1}}, {"scores": {"grammar": 5}}, True),
        ({"scores": {"grammar": 2}}, {"scores": {"grammar": 5}}, False),
        ({"scores": {"plot": 5}}, {"scores": {"grammar": 5}}, False),
    ],
)
def test_what_is_right_on_a_gold_item(decision: dict[str, Any], gold: dict[str, Any], is_right: bool) -> None:
    assert quality._is_right(decision, gold) is is_right


def test_nothing_is_known_of_who_said_nothing(review_database: Database) -> None:
    with review_database.session() as session:
        person(session)
        assert qualities(session, limits(), now=NOW) == {}
    assert Share.counted([], confidence=0.95).value is None
