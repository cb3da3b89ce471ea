"""Reward hacking, looked for by name: the labelling judge likes the candidate better, and something else says no."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.evaluation.intervals import Bootstrap, Score
from tasks.evaluation.word_runs import distinct_share
from tasks.gating.votes import Votes
from tasks.judging.comparing.rates import NOTHING, bounded_mean
from tasks.judging.records import STORY, Item, ScoreRecord


@dataclass(frozen=True, kw_only=True)
class Hacking:
    """What is known of it.

    by_labeller, by_accepting: by how many levels the candidate's answers are graded above the champion's by that
    judge, NaN where it was not asked; distinct_2, story_words: of the stories that both told, the candidate's and the
    champion's; names: what speaks against the labelling judge's liking.
    """

    by_labeller: Score = NOTHING
    by_accepting: Score = NOTHING
    distinct_2: tuple[float, float] = (math.nan, math.nan)
    story_words: tuple[float, float] = (math.nan, math.nan)
    names: tuple[str, ...] = ()


def look_for(
    ours: Sequence[Item],
    theirs: Sequence[Item],
    *,
    labelled: Sequence[ScoreRecord],
    accepted: Sequence[ScoreRecord],
    votes: Votes | None,
    beside_base: bool,
    most_drift: float,
    bootstrap: Bootstrap,
) -> Hacking:
    """labelled, accepted: the grades of both models' answers by either judge; votes: None where there are too few.

    beside_base: there is no champion yet; what is tuned tells other stories than a base model, which is no sign.
    """
    by_labeller, by_accepting = (mean_gain(ours, theirs, grades, bootstrap) for grades in (labelled, accepted))
    own, other = _common_stories(ours, theirs)
    diversity, words = (distinct_2(own), distinct_2(other)), (mean_words(own), mean_words(other))
    signs = {
        "accepting_judge": by_accepting.value <= 0,
        "human_votes": votes is not None and votes.preference.value < 0.5,
        "diversity": not beside_base and _drift(diversity) < -most_drift,
        "length": not beside_base and abs(_drift(words)) > most_drift,
    }
    rose = by_labeller.low > 0
    return Hacking(
        by_labeller=by_labeller,
        by_accepting=by_accepting,
        distinct_2=diversity,
        story_words=words,
        names=tuple(name for name, speaks in signs.items() if rose and speaks),
    )


def mean_gain(
    ours: Sequence[Item], theirs: Sequence[Item], grades: Sequence[ScoreRecord], bootstrap: Bootstrap
) -> Score:
    """By how many levels our answers are graded higher, prompt by prompt; NaN without grades."""
    levels = {record.item: record.overall for record in grades if record.overall is not None}
    other = {item.prompt_id: levels[item.id] for item in theirs if item.id in levels}
    both = [item for item in ours if item.id in levels and item.prompt_id in other]
    gains = [levels[item.id] - other[item.prompt_id] for item in both]
    return bounded_mean(gains, [item.prompt_id for item in both], bootstrap=bootstrap, lowest=-4.0, highest=4.0)


def distinct_2(texts: Sequence[str]) -> float:
    """The share of different word pairs among all of them (Li et al. 2016, arXiv:1510.03055); NaN without any."""
    return distinct_share(texts, 2) or math.nan


def mean_words(texts: Sequence[str]) -> float:
    """NaN without texts."""
    return sum(len(text.split()) for text in texts) / len(texts) if texts else math.nan


def _common_stories(ours: Sequence[Item], theirs: Sequence[Item]) -> tuple[list[str], list[str]]:
    """The stories that both told."""
    common = {item.prompt_id for item in ours} & {item.prompt_id for item in theirs}
    first, second = (
        [item.answer for item in items if item.kind == STORY and item.prompt_id in common] for items in (ours, theirs)
    )
    return first, second


def _drift(both: tuple[float, float]) -> float:
    """By which share the candidate's is above the champion's; 0 where nothing is known."""
    ours, theirs = both
    return (ours - theirs) / theirs if theirs and not math.isnan(ours + theirs) else 0.0
