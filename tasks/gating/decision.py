"""The decision on a candidate: what speaks against it, what is not known yet, or why it may be promoted."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.evaluation.intervals import Score
from tasks.gating.contest import Contest, Verdicts
from tasks.gating.hacking import Hacking
from tasks.gating.params import GateParams

Outcome = Literal["promote", "undecided", "rejected"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is decided on. against: the champion first, then base; base alone where there is no champion.

    judge: the accepting one's id; labellers: the ids of those that labelled what the candidate learnt from;
    unfit_axes: axes used on which the accepting judge failed, or was not put to, its examination; is_examined:
    whether it has a scorecard at all; is_champion: the candidate is the champion itself.
    """

    candidate: str
    judge: str
    labellers: tuple[str, ...]
    against: tuple[Contest, ...]
    unfit_axes: tuple[str, ...]
    is_examined: bool
    is_champion: bool
    hacking: Hacking

    @property
    def champion(self) -> Contest:
        """Against whoever is to be replaced."""
        return self.against[0]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """reasons: what speaks against the candidate first, then what is open; of a promotion what it rests on."""

    outcome: Outcome
    reasons: tuple[str, ...]


def decide(evidence: Evidence, params: GateParams) -> Decision:
    """promote only where nothing is worse and nothing is open; rejected where something is worse."""
    if evidence.is_champion:
        return Decision(outcome="undecided", reasons=(f"the candidate is the champion, {evidence.champion.opponent}",))
    worse = [*_lost(evidence), *_beyond(evidence), *_unwanted(evidence, params), *_unsafe(evidence)]
    unknown = [*_unfit(evidence), *_incomparable(evidence), *_too_few(evidence, params), *_not_won(evidence, params)]
    if worse or unknown:
        return Decision(outcome="rejected" if worse else "undecided", reasons=(*worse, *unknown))
    return Decision(outcome="promote", reasons=tuple(_won(evidence, params)))


def _lost(evidence: Evidence) -> Iterator[str]:
    for contest in evidence.against:
        rate = contest.verdicts.length_controlled
        if rate.high < 0.5:
            yield f"loses to {contest.opponent} at equal lengths: {_rate(rate)}"


def _beyond(evidence: Evidence) -> Iterator[str]:
    for contest in evidence.against:
        for difference in contest.differences:
            if difference.is_beyond:
                yield f"worse than {contest.opponent}: {difference.told}"


def _unwanted(evidence: Evidence, params: GateParams) -> Iterator[str]:
    votes, opponent = evidence.champion.votes, evidence.champion.opponent
    if votes.count >= params.least_votes and votes.preference.value < params.least_preference:
        yield (
            f"people prefer {opponent}: {votes.preference.value:.1%} of {votes.count} votes are for the candidate, "
            f"at least {params.least_preference:.0%} must be"
        )


def _unsafe(evidence: Evidence) -> Iterator[str]:
    ours, theirs = evidence.champion.unsafe
    if evidence.champion.is_less_safe:
        yield f"unsafe answers: {ours}, {evidence.champion.opponent} has {theirs} on the same prompts"


def _unfit(evidence: Evidence) -> Iterator[str]:
    if not evidence.is_examined:
        yield f"the judge {evidence.judge} was not examined; `dvc repro calibrate` does it"
    elif evidence.unfit_axes:
        axes = ", ".join(evidence.unfit_axes).replace("_", " ")
        yield f"the judge {evidence.judge} may not decide on: {axes} (its scorecard)"


def _incomparable(evidence: Evidence) -> Iterator[str]:
    for contest in evidence.against:
        if not contest.same_holdout:
            yield f"the figures of {contest.opponent} are of another hold-out; they were not compared"
        if not contest.same_decoding:
            yield f"the answers of {contest.opponent} were drawn with another decoding"
        if contest.same_holdout and contest.unmeasured:
            yield f"not measured, of {contest.opponent} it was: {', '.join(contest.unmeasured)}"


def _too_few(evidence: Evidence, params: GateParams) -> Iterator[str]:
    for contest in evidence.against:
        found = contest.verdicts
        if found.prompts < params.prompts:
            yield (
                f"{found.prompts} prompts have a verdict against {contest.opponent} ({found.asked} were answered by "
                f"both); at least {params.prompts} must"
            )


def _not_won(evidence: Evidence, params: GateParams) -> Iterator[str]:
    for contest in _to_be_beaten(evidence, params):
        rate = contest.verdicts.length_controlled
        if math.isnan(rate.value):
            yield f"nothing is known of equal lengths against {contest.opponent}"
        elif rate.low <= 0.5 <= rate.high:
            yield (
                f"level with {contest.opponent} at equal lengths: {_rate(rate)} of {contest.verdicts.decisive} "
                f"decisive pairs; {_more(contest.verdicts)}"
            )


def _to_be_beaten(evidence: Evidence, params: GateParams) -> Sequence[Contest]:
    return evidence.against if params.beat_base else evidence.against[:1]


def _more(verdicts: Verdicts) -> str:
    if verdicts.needed is None:
        return "at this rate no number of pairs settles it"
    return f"some {verdicts.more:,} more would settle it at this rate ({verdicts.needed:,} in all)"


def _won(evidence: Evidence, params: GateParams) -> Sequence[str]:
    rates = [
        f"beats {contest.opponent} at equal lengths: {_rate(contest.verdicts.length_controlled)} of "
        f"{contest.verdicts.decisive} decisive pairs"
        for contest in _to_be_beaten(evidence, params)
    ]
    votes = evidence.champion.votes
    if votes.count >= params.least_votes:
        rates.append(f"people prefer it in {votes.preference.value:.1%} of {votes.count} votes")
    return [*rates, "no figure and no axis is worse beyond its margin, and there are no more unsafe answers"]


def _rate(score: Score) -> str:
    return f"{score.value:.1%} [{score.low:.1%}, {score.high:.1%}]"
