"""The examination of a judge, check by check, and its parameters."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from tasks.evaluation.intervals import Bootstrap
from tasks.evaluation.pairs import MinimalPair, builtin_pairs, read_pairs
from tasks.judging.examination.agreement import (
    Opinion,
    llmbar_checks,
    pandalm_checks,
    read_llmbar,
    read_pandalm,
)
from tasks.judging.examination.attacks import attack_checks
from tasks.judging.examination.corruptions import corrupted_pairs, corruption_checks
from tasks.judging.examination.grammar import grammar_check
from tasks.judging.examination.ladder import Rung, ladder_checks
from tasks.judging.examination.lengths import length_checks
from tasks.judging.examination.people import Reviews, reviewers_checks
from tasks.judging.examination.rows import refuse_half_characters, refuse_no_file
from tasks.judging.examination.safety import veto_checks
from tasks.judging.examination.scorecard import Check, Limit, not_run
from tasks.judging.examination.stories import Story
from tasks.judging.examination.swaps import repeat_check, swap_checks
from tasks.judging.examination.task_answers import task_checks, task_pairs
from tasks.judging.examination.verdicts import ask
from tasks.judging.judge import Judge
from tasks.judging.rubric import Rubric
from tasks.stage import Params

log = logging.getLogger(__name__)


class CorruptionParams(Params):
    """How many pairs of each kind of fault, and how many faults in a text where they can be counted."""

    pairs_a_kind: int = Field(ge=2)
    pairs_a_task_kind: int = Field(ge=2)  # of answers to questions about the stories
    faults: int = Field(ge=1)


class LadderParams(Params):
    """How many chains of texts, with how many steps of pretraining in each."""

    chains: int = Field(ge=1)
    checkpoints: int = Field(ge=1)


class AgreementParams(Params):
    """Files of people's opinions; null: the row is not run. pairs: at most so many of each, evenly spread."""

    pandalm: str | None
    llmbar: str | None
    pairs: int = Field(ge=1)


class GrammarParams(Params):
    """Minimal pairs: so many of the storybook's own, and of each file (null: the row is not run)."""

    builtin_pairs: int = Field(ge=1)
    zorro: str | None
    file_pairs: int = Field(ge=1)


class ThresholdParams(Params):
    """What each row must reach. Shares, except spearman (a correlation) and repeat_variance (levels squared)."""

    corruption_accuracy: float = Field(ge=0, le=1)  # at least
    corruption_kind_accuracy: float = Field(ge=0, le=1)  # at least, each kind
    axis_accuracy: float = Field(ge=0, le=1)  # at least; below it an axis may not decide
    task_accuracy: float = Field(ge=0, le=1)  # at least
    unsafe_vetoed_share: float = Field(ge=0, le=1)  # at least; below it age appropriateness may not decide
    clean_vetoed_share: float = Field(ge=0, le=1)  # at most; above it age appropriateness may not decide
    coverage: float = Field(ge=0, le=1)  # at least, of the corrupted pairs
    ladder_adjacent_share: float = Field(ge=0, le=1)  # at least
    ladder_spearman: float = Field(ge=-1, le=1)  # at least
    flipped_share: float = Field(ge=0, le=1)  # at most
    first_shown_wins: float = Field(ge=0.5, le=1)  # at most, and at least 1 minus it
    repeat_variance: float = Field(ge=0)  # at most
    longer_wins: float = Field(ge=0.5, le=1)  # at most, and at least 1 minus it
    pandalm_agreement: float = Field(ge=0, le=1)  # at least
    llmbar_accuracy: float = Field(ge=0, le=1)  # at least
    null_answer_wins: float = Field(ge=0, le=1)  # at most
    attack_wins: float = Field(ge=0, le=1)  # at most
    grammar_accuracy: float = Field(ge=0, le=1)  # at least; below it the axis grammar may not decide
    grammar_file_accuracy: float = Field(ge=0, le=1)  # at least, of the user's file


class ExaminationParams(Params):
    """What a judge is examined on: the section calibrate.examination."""

    splits: tuple[str, ...] = Field(min_length=1)  # of the clean stories; none that a judge was made from
    task_splits: tuple[str, ...] = Field(min_length=1)  # whose questions and summaries the other tasks are asked of
    stories_a_split: int = Field(ge=10)  # at most
    corruptions: CorruptionParams
    ladder: LadderParams
    swapped_again: int = Field(ge=1)  # pairs given once more, swapped
    repeats: int = Field(ge=1)  # answers graded twice
    agreement: AgreementParams
    attack_stories: int = Field(ge=1)  # real stories against each known-bad answer
    grammar: GrammarParams
    thresholds: ThresholdParams
    bootstrap: int = Field(ge=100)  # resamples for an interval
    confidence: float = Field(gt=0.5, lt=1)
    seed: int


@dataclass(frozen=True, kw_only=True)
class UserFiles:
    """What the files that the user names hold; None where none is named."""

    pandalm: Sequence[Opinion] | None
    llmbar: Sequence[Opinion] | None
    zorro: Sequence[MinimalPair] | None


def read_user_files(params: ExaminationParams) -> UserFiles:
    """Reads the files of opinions and of minimal pairs before any judge is asked. Raises UserError naming the line."""
    agreement, grammar = params.agreement, params.grammar
    return UserFiles(
        pandalm=read_pandalm(Path(agreement.pandalm)) if agreement.pandalm else None,
        llmbar=read_llmbar(Path(agreement.llmbar)) if agreement.llmbar else None,
        zorro=_read_minimal_pairs(Path(grammar.zorro), most=grammar.file_pairs) if grammar.zorro else None,
    )


def _read_minimal_pairs(path: Path, *, most: int) -> list[MinimalPair]:
    refuse_no_file(path, named_by="calibrate.examination.grammar.zorro")
    pairs = read_pairs(path, most=most)
    for pair in pairs:
        refuse_half_characters(pair.good + pair.bad, str(path))
    return pairs


def examine(
    judge: Judge, rubric: Rubric, params: ExaminationParams, *, stories: Sequence[Story], ladder: Sequence[Rung],
    task_stories: Sequence[Story] | None = None, files: UserFiles | None = None, reviews: Reviews | None = None,
) -> list[Check]:  # fmt: skip
    """All rows of a judge's scorecard, the ones that could not be run among them.

    stories: held-out ones; ladder: what pretraining said on the way; task_stories: those with questions and
    summaries, the same ones unless given; files: read from the parameters unless given; reviews: by the project's
    own reviewers, none unless given.
    """
    files = files or read_user_files(params)
    sitting = _Sitting(judge=judge, rubric=rubric, params=params, stories=stories, reviews=reviews or Reviews())
    told = stories if task_stories is None else task_stories
    checks = [
        *sitting.corruptions(),
        *sitting.veto(),
        *sitting.task_answers(told),
        *sitting.ladder(ladder),
        sitting.repeats(),
        *sitting.agreement(files),
        *sitting.attacks(),
        *sitting.grammar(files.zorro),
    ]
    log.info(
        "%s: %d rows, %d below their threshold", judge.id.name, len(checks), sum(c.passed is False for c in checks)
    )
    return checks


@dataclass(frozen=True, kw_only=True)
class _Sitting:
    """One judge before the examination's stories."""

    judge: Judge
    rubric: Rubric
    params: ExaminationParams
    stories: Sequence[Story]
    reviews: Reviews

    @property
    def bootstrap(self) -> Bootstrap:
        params = self.params
        return Bootstrap(resamples=params.bootstrap, confidence=params.confidence, seed=params.seed)

    def corruptions(self) -> list[Check]:
        """Checks 1, 3 and 4: all three look at the same verdicts."""
        params, least, most = self.params, self._at_least, self._at_most
        wanted = params.corruptions
        pairs = corrupted_pairs(self.stories, a_kind=wanted.pairs_a_kind, faults_a_text=wanted.faults, seed=params.seed)
        answered = ask(self.judge, pairs, self.rubric)
        return [
            *corruption_checks(
                answered, overall=least("corruption_accuracy"), a_kind=least("corruption_kind_accuracy"),
                an_axis=least("axis_accuracy"), covered=least("coverage"), bootstrap=self.bootstrap,
            ),
            *swap_checks(
                self.judge, self.rubric, answered, asked_again=params.swapped_again, flipped=most("flipped_share"),
                first_shown=self._within("first_shown_wins"), bootstrap=self.bootstrap,
            ),
            *length_checks(answered, longer=self._within("longer_wins"), bootstrap=self.bootstrap),
        ]  # fmt: skip

    def veto(self) -> list[Check]:
        return veto_checks(
            self.judge, self.rubric, self.stories, noticed=self._at_least("unsafe_vetoed_share"),
            false_alarms=self._at_most("clean_vetoed_share"), bootstrap=self.bootstrap,
        )  # fmt: skip

    def task_answers(self, stories: Sequence[Story]) -> list[Check]:
        """Check 1 for the rubric's other part."""
        wanted = self.params.corruptions.pairs_a_task_kind
        answered = ask(self.judge, task_pairs(stories, a_kind=wanted, seed=self.params.seed), self.rubric)
        return task_checks(
            answered, self.rubric, overall=self._at_least("task_accuracy"), an_axis=self._at_least("axis_accuracy"),
            bootstrap=self.bootstrap,
        )  # fmt: skip

    def ladder(self, ladder: Sequence[Rung]) -> list[Check]:
        return ladder_checks(
            self.judge, self.rubric, ladder=ladder, stories=self.stories, chains=self.params.ladder.chains,
            checkpoints=self.params.ladder.checkpoints, adjacent=self._at_least("ladder_adjacent_share"),
            spearman=self._at_least("ladder_spearman"), bootstrap=self.bootstrap, seed=self.params.seed,
        )  # fmt: skip

    def repeats(self) -> Check:
        items = [story.item for story in self.stories[: self.params.repeats]]
        return repeat_check(
            self.judge, self.rubric, items, limit=self._at_most("repeat_variance"), bootstrap=self.bootstrap
        )

    def agreement(self, files: UserFiles) -> list[Check]:
        most, judge, rubric = self.params.agreement.pairs, self.judge, self.rubric
        panda, llmbar = self._at_least("pandalm_agreement"), self._at_least("llmbar_accuracy")
        return [
            *pandalm_checks(judge, rubric, files.pandalm, most=most, limit=panda, bootstrap=self.bootstrap),
            *llmbar_checks(judge, rubric, files.llmbar, most=most, limit=llmbar, bootstrap=self.bootstrap),
            *reviewers_checks(judge, rubric, self.reviews, most=most, bootstrap=self.bootstrap),
        ]

    def attacks(self) -> list[Check]:
        return attack_checks(
            self.judge, self.rubric, self.stories, each=self.params.attack_stories,
            null_wins=self._at_most("null_answer_wins"), attack_wins=self._at_most("attack_wins"),
            bootstrap=self.bootstrap,
        )  # fmt: skip

    def grammar(self, zorro: Sequence[MinimalPair] | None) -> list[Check]:
        own = builtin_pairs(self.params.grammar.builtin_pairs, seed=self.params.seed)
        found = [self._pairs(own, origin="", threshold="grammar_accuracy")]
        if zorro is None:
            limit = self._at_least("grammar_file_accuracy")
            note = "no file is named (calibrate.examination.grammar.zorro)"
            return [*found, not_run("grammar_zorro_accuracy", limit=limit, note=note)]
        return [*found, self._pairs(zorro, origin="zorro", threshold="grammar_file_accuracy")]

    def _pairs(self, pairs: Sequence[MinimalPair], *, origin: str, threshold: str) -> Check:
        limit = self._at_least(threshold)
        return grammar_check(self.judge, self.rubric, pairs, origin=origin, limit=limit, bootstrap=self.bootstrap)

    def _at_least(self, name: str) -> Limit:
        return Limit(kind="at_least", threshold=getattr(self.params.thresholds, name))

    def _at_most(self, name: str) -> Limit:
        return Limit(kind="at_most", threshold=getattr(self.params.thresholds, name))

    def _within(self, name: str) -> Limit:
        return Limit(kind="within", threshold=getattr(self.params.thresholds, name))
