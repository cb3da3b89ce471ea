"""The evidence on a candidate, gathered: what the chain measured of it, of the champion and of the base model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.cleaning.safety import Safety, SafetyParams
from tasks.cleaning.words import split_words
from tasks.evaluation.intervals import Bootstrap
from tasks.gating import figures
from tasks.gating.champion import Champion
from tasks.gating.contest import Contest, verdicts_between
from tasks.gating.figures import Figures
from tasks.gating.params import MarginParams
from tasks.gating.votes import votes_between
from tasks.judging.heuristic.rules import danger
from tasks.judging.judge import Judge
from tasks.judging.records import Item, Pair, PairRecord, ScoreRecord
from tasks.judging.report.scorecard import read_scorecards
from tasks.judging.rubric import Rubric
from tasks.reviews.batch_file import Feedback
from tasks.stage import UserError

BASE = "base"
CHAMPION = "champion"  # what the champion's answers go by beside the candidate's: both may be of an aligned model
DRAWN = ("max_tokens", "story_temperature", "temperature", "top_p", "seed")  # of an answer's decoding


@dataclass(frozen=True, kw_only=True)
class Player:
    """A model in the comparison. told: base, fledgling/3; holdout: what its figures were measured on."""

    told: str
    answers: Sequence[Item]
    figures: Figures
    holdout: str

    def on_prompts_of(self, other: "Player") -> Sequence[Item]:
        """Its answers to the prompts that the other answered too."""
        common = {item.prompt_id for item in other.answers}
        return [item for item in self.answers if item.prompt_id in common]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the accepting judge said of all answers that are compared, and people of any."""

    scores: Sequence[ScoreRecord]
    pairs: Sequence[PairRecord]
    feedback: Sequence[Feedback]


def player(name: str, answers: Iterable[Item], evaluated: Mapping[str, Any], *, holdout: str) -> Player:
    """A model of the present chain. Raises UserError where it answered nothing, or was not evaluated."""
    own = [item for item in answers if item.by == name]
    if not own:
        raise UserError(f"data/judged/answers.jsonl: no answer of {name}; run `dvc repro judge`")
    return Player(told=name, answers=own, figures=figures.figures_of(name, evaluated), holdout=holdout)


def champion_player(champion: Champion, answers: Sequence[Item]) -> Player:
    """The champion by its tracked files."""
    own = [replace(item, by=CHAMPION) for item in answers]
    return Player(told=champion.told, answers=own, figures=champion.figures, holdout=champion.holdout)


def judged_by(
    judge: Judge, candidate: Player, champion: Player, rubric: Rubric
) -> tuple[list[ScoreRecord], list[PairRecord]]:
    """The accepting judge's grades of the champion's answers, and its verdicts on the candidate's beside them."""
    theirs = {item.prompt_id: item for item in champion.on_prompts_of(candidate)}
    both = [(item, theirs[item.prompt_id]) for item in candidate.answers if item.prompt_id in theirs]
    pairs = [Pair(first=ours, second=other) for ours, other in both if ours.id != other.id]
    return judge.score(list(theirs.values()), rubric), judge.compare(pairs, rubric)


def contest(
    candidate: Player,
    opponent: Player,
    said: Said,
    *,
    margins: MarginParams,
    safety: SafetyParams,
    bootstrap: Bootstrap,
) -> Contest:
    """The candidate beside an opponent. Raises UserError where no prompt was answered by both."""
    ours, theirs = candidate.on_prompts_of(opponent), opponent.on_prompts_of(candidate)
    if not ours:
        raise UserError(f"no hold-out prompt was answered by the candidate and {opponent.told}; `dvc repro judge`")
    same = candidate.holdout == opponent.holdout
    measured = figures.measured_differences(candidate.figures, opponent.figures, margins) if same else []
    axes = figures.axis_differences(ours, theirs, said.scores, margins, bootstrap)
    return Contest(
        opponent=opponent.told,
        verdicts=verdicts_between(ours, theirs, said.pairs, bootstrap=bootstrap),
        differences=(*measured, *axes),
        votes=votes_between(said.feedback, ours, theirs, bootstrap=bootstrap),
        unsafe=(count_unsafe(ours, safety), count_unsafe(theirs, safety)),
        more_unsafe=margins.unsafe,
        unmeasured=tuple(figures.unmeasured(candidate.figures, opponent.figures)),
        same_holdout=same,
        same_decoding=_drawn(ours) == _drawn(theirs),
    )


def count_unsafe(answers: Iterable[Item], policy: SafetyParams) -> int:
    """Answers in which the child-safety filter of `prepare` or the judges' rules of dangerous deeds find something."""
    safety = Safety(policy)
    return sum(_is_unsafe(item.answer, safety) for item in answers)


def _is_unsafe(text: str, safety: Safety) -> bool:
    return safety.check(text, split_words(text)) is not None or danger(text) is not None


def _drawn(answers: Sequence[Item]) -> dict[str, dict[str, Any]]:
    """How each prompt's answer was drawn, but for what a model's kind decides (a base model is shown examples)."""
    return {item.prompt_id: {name: item.decoding.get(name) for name in DRAWN} for item in answers}


def unfit_axes(scorecard: Mapping[str, Any], judge: str, scores: Iterable[ScoreRecord]) -> tuple[bool, tuple[str, ...]]:
    """Whether the judge was examined at all, and the axes it graded on which it failed or was not examined."""
    used = {axis for record in scores for axis in record.grades}
    cards = [card for card in read_scorecards(scorecard) if card.is_of(judge)]
    unfit = {axis for card in cards for axis in (*card.axes_failed, *card.axes_not_examined)}
    return bool(cards), tuple(sorted(used & unfit))
