"""Items whose right decision is known: a story that no model saw, and the same story with a planted fault.

Only faults that leave no doubt, and that nobody overlooks who reads both texts: a subtle one would be unfair, one
that is a matter of taste (grown-up words, another topic) not certain, an unsafe one an imposition. The request asks
for words that both texts hold.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from tasks.cleaning.words import split_words
from tasks.judging.examination import faults
from tasks.judging.examination.faults import Generator, Setting
from tasks.judging.examination.stories import Story
from tasks.judging.records import Item
from tasks.reviews import tables
from tasks.reviews.batch_file import is_decision
from tasks.reviews.kinds import Values
from tasks.reviews.tables import ORDINARY_SLOTS, Annotation, Assignment, Batch, Exported
from tasks.stage import UserError

SPLITS = ("judge_a", "judge_b")  # of data/clean: no model learns from them
READ = 400  # stories of each split that are drawn from
MOST_WORDS = 130  # of a story: a check must not cost a reviewer's minute


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault that is planted so many times in a text, where it can be counted."""

    name: str
    plant: Generator
    times: int = 1


FAULTS = (
    Fault(name="misspelling", plant=faults.misspelling, times=10),
    Fault(name="verb_form", plant=faults.verb_form, times=6),
    Fault(name="swapped_words", plant=faults.swapped_words, times=7),
    Fault(name="shuffled_sentences", plant=faults.shuffled_sentences),
    Fault(name="cut_ending", plant=faults.cut_ending),
    Fault(name="repetition", plant=faults.repetition),
)


@dataclass(frozen=True, kw_only=True)
class Gold:
    """A choice that has a right answer."""

    better: Item
    worse: Item
    fault: str


def gold_items(stories: Sequence[Story], *, count: int, seed: str) -> list[Gold]:
    """`count` of them, fewer where the stories give no more; each of another story, the faults about equally often."""
    vocabulary = frozenset(word for story in stories for word in split_words(story.text))
    rng = random.Random(seed)  # noqa: S311 - draws stories
    short = [story for story in stories if len(split_words(story.text)) <= MOST_WORDS]
    found: list[Gold] = []
    used: Counter[str] = Counter()
    for story in rng.sample(short, len(short)):
        if len(found) == count:
            break
        rarest_first = sorted(FAULTS, key=lambda fault: used[fault.name])
        planted = (_planted(story, fault, vocabulary, rng) for fault in rarest_first)
        gold = next((one for one in planted if one), None)
        if gold:
            used[gold.fault] += 1
            found.append(gold)
    return found


def _planted(story: Story, fault: Fault, vocabulary: frozenset[str], rng: random.Random) -> Gold | None:
    setting = Setting(faults=fault.times, others=(), vocabulary=vocabulary, countable=frozenset())
    bad = fault.plant(story, setting, rng)
    if bad is None or bad == story.text or not story.meets_request(bad):
        return None
    better = story.item
    worse = replace(better, answer=bad, by=f"planted {fault.name}")
    return Gold(better=better, worse=worse, fault=fault.name)


def make_gold(session: Session, item: str, decision: Values) -> None:
    """Makes an item (its id) one whose right decision is known; what was said of it now measures who said it.

    decision: in terms of generations. Raises UserError where it is no decision on that item, a correction, or the
    item is in a batch file already.
    """
    found = session.get(tables.Item, item)
    if found is None:
        raise UserError(f"there is no item '{item}'; the owner's page names them, such as <batch>/12")
    session.execute(select(Batch).where(Batch.id == found.batch_id).with_for_update())  # no collection meanwhile
    generations = [shown.generation_id for shown in found.shown]
    if found.kind == "correction" or not is_decision(found.kind, decision, generations):  # type: ignore[arg-type]
        raise UserError(f"{item}: not a decision on a {found.kind} of {', '.join(generations)}: {decision}")
    exported = select(Exported.annotation_id).join(Annotation, Annotation.id == Exported.annotation_id)
    if session.scalar(exported.where(Annotation.item_id == item).limit(1)) is not None:
        raise UserError(f"{item}: what was said of it is in a batch file already; batch files are never changed")
    found.gold = dict(decision)
    _give_up_slots(session, found)


def _give_up_slots(session: Session, item: tables.Item) -> None:
    """The batch no longer waits for ordinary answers to the item: its free slots go, and are not missed."""
    waiting = select(Assignment).where(
        Assignment.item_id == item.id,
        Assignment.slot.in_(ORDINARY_SLOTS),
        Assignment.done_at.is_(None),
        ~exists().where(Annotation.assignment_id == Assignment.id),  # one that was skipped stays, for its history
    )
    for slot in session.scalars(waiting):
        item.batch.quota -= 1
        session.delete(slot)
