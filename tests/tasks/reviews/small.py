"""A small batch to review: texts, parameters, a rubric of two axes."""

import itertools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from tasks.judging.rubric import Axis, Rubric
from tasks.reviews import answering, leasing, reviewers
from tasks.reviews.answering import Receipt, Submission
from tasks.reviews.cards import Card, cards
from tasks.reviews.kinds import Kind
from tasks.reviews.params import QualityParams, QuestionParams, ReviewParams
from tasks.reviews.tables import Assignment, Batch, Generation, Item, Prompt, Reviewer, Shown

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ANCHORS = {level: f"level {level}" for level in range(1, 6)}
RUBRIC = Rubric(
    story={"grammar": Axis(asks="?", levels=ANCHORS), "plot": Axis(asks="?", levels=ANCHORS)},
    task={"quality": Axis(asks="?", levels=ANCHORS)},
)
PARAMS = ReviewParams(
    source="labelled",
    batch_items=20,
    kinds={"choice": 1.0},
    gold_share=0,
    double_share=0,
    again_share=0,
    again_after=5,
    lease_s=600,
    prefetch=3,
    undo_last=10,
    most_skips=2,
    cluster_jaccard=0.5,
    seed=0,
    question=QuestionParams(temperature=0.7, top_p=0.95, max_tokens=24),
    quality=QualityParams(
        min_gold_agreement=0.7,
        min_gold=5,
        min_self_consistency=0.6,
        min_again=5,
        max_fast_share=0.3,
        words_per_minute=900,
        max_one_side_share=0.85,
        min_choices=20,
        bootstrap=200,
        confidence=0.95,
    ),
)
ANSWERS: Mapping[Kind, int] = {"choice": 2, "ranking": 3, "rating": 1, "correction": 1}
SAID: Mapping[str, Mapping[str, Any]] = {
    "choice": {"side": "left"},
    "ranking": {"tiers": [[0], [2, 1]]},
    "rating": {"scores": {"grammar": 4, "plot": 2}},
    "correction": {"text": "Once there was a better story."},
}
_NONCES = itertools.count()


def params(**changes: Any) -> ReviewParams:
    return PARAMS.model_copy(update=changes)


def fresh_nonce() -> str:
    return f"nonce-{next(_NONCES):08}"


def publish(
    session: Session,
    *,
    items: int = 20,
    kinds: Iterable[Kind] = ("choice",),
    gold: int = 0,
    double_each: int | None = None,  # every so manieth item is shown to two people
    name: str = "batch-1",
    now: datetime = NOW,
) -> Batch:
    """A batch of `items` ordinary items, kinds in turn, and `gold` gold choices after them."""
    batch = Batch(id=name, source="labelled", settings={}, quota=0, published_at=now)
    session.add(batch)
    session.flush()
    turn = itertools.cycle(kinds)
    for position in range(items + gold):
        is_gold = position >= items
        kind: Kind = "choice" if is_gold else next(turn)
        _add_item(session, name, position, kind, is_gold=is_gold, now=now)
        slots = [] if is_gold else ["1", "2"] if double_each and position % double_each == 0 else ["1"]
        session.add_all(Assignment(item_id=f"{name}/{position}", slot=slot) for slot in slots)
        batch.quota += len(slots)
        session.flush()
    return batch


def _add_item(session: Session, batch: str, position: int, kind: Kind, *, is_gold: bool, now: datetime) -> None:
    name = f"{batch}-{position}"
    prompt = Prompt(id=f"p-{name}", kind="story", text=f"Tell me story {position}.", document="", cluster=f"p-{name}",
                    split="train", added_at=now)  # fmt: skip
    generations = [
        Generation(id=f"g-{name}-{n}", prompt_id=prompt.id, judged_item=f"j{position}", text=f"Story {position}.{n}",
                   model=("base", "finetuned", "aligned")[n], decoding={"temperature": 0.8})
        for n in range(ANSWERS[kind])
    ]  # fmt: skip
    session.add(prompt)
    session.flush()
    session.add_all(generations)
    right = {"winner": generations[0].id} if is_gold else None
    session.add(Item(id=f"{batch}/{position}", batch_id=batch, position=position, kind=kind, prompt_id=prompt.id,
                     gold=right, judge={"judge": "heuristic-a"}))  # fmt: skip
    session.flush()
    session.add_all(
        Shown(item_id=f"{batch}/{position}", place=place, generation_id=found.id)
        for place, found in enumerate(generations)
    )


def person(session: Session, name: str = "Ada") -> Reviewer:
    return reviewers.add(session, name, "reviewer", NOW)


def deal(session: Session, reviewer: Reviewer, count: int = 1, *, now: datetime = NOW, **changes: Any) -> list[Card]:
    return cards(
        session, leasing.deal(session, reviewer, count=count, params=params(**changes), now=now), rubric=RUBRIC
    )


def sent(card: Card | int, *, nonce: str | None = None, said: Mapping[str, Any] | None = None) -> Submission:
    """What the page sends of a card; of a card's number alone a choice."""
    kind = card.kind if isinstance(card, Card) else "choice"
    return Submission(
        assignment=card.assignment if isinstance(card, Card) else card,
        nonce=nonce or fresh_nonce(),
        said=SAID[kind] if said is None else said,
        milliseconds=4000,
        page_version="test",
    )


def answer(session: Session, reviewer: Reviewer, submission: Submission, *, now: datetime = NOW) -> Receipt:
    return answering.answer(session, reviewer, submission, rubric=RUBRIC, now=now)


def skip(
    session: Session, reviewer: Reviewer, card: Card, *, nonce: str | None = None, now: datetime = NOW, **changes: Any
) -> Receipt:
    submission = sent(card, nonce=nonce, said={"reason": "unclear"})
    return answering.skip(session, reviewer, submission, params=params(**changes), now=now)


def undo(
    session: Session, reviewer: Reviewer, *, nonce: str | None = None, now: datetime = NOW, **changes: Any
) -> Card | None:
    return answering.undo(
        session, reviewer, nonce=nonce or fresh_nonce(), params=params(**changes), rubric=RUBRIC, now=now
    )
