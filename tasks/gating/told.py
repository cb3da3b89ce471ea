"""A decision told: flat figures (metrics/gate.json), and a page for people with the reasons first."""

import math
from collections.abc import Iterator
from typing import Any

from tasks.evaluation.intervals import Score
from tasks.gating.contest import Contest
from tasks.gating.decision import Decision, Evidence
from tasks.gating.evidence import BASE, CHAMPION
from tasks.gating.figures import Difference

Told = dict[str, Any]

VERDICT = {
    "promote": "The candidate may be promoted.",
    "undecided": "Undecided: the champion stays.",
    "rejected": "Rejected: the champion stays.",
}
SIGNS = {
    "accepting_judge": "the accepting judge does not grade it higher",
    "human_votes": "people prefer the other",
    "diversity": "its stories vary less",
    "length": "its stories have another length",
}


def gate_figures(evidence: Evidence, decision: Decision) -> Told:
    """The flat figures; None where something is not known."""
    found: Told = {
        "decision": decision.outcome,
        "reasons": list(decision.reasons),
        "candidate": evidence.candidate,
        "champion": evidence.champion.opponent,
        "judge": evidence.judge,
        "labelling_judges": list(evidence.labellers),
        "unfit_axes": list(evidence.unfit_axes),
        "reward_hacking": list(evidence.hacking.names),
        **_hacking_figures(evidence),
    }
    votes = evidence.champion.votes
    found |= votes.preference.figures("human_preference") | {"human_votes": votes.count}
    for name, contest in ((CHAMPION, evidence.champion), (BASE, evidence.against[-1])):
        found |= {f"{name}_{key}": value for key, value in _contest_figures(contest).items()}
    return found


def _hacking_figures(evidence: Evidence) -> Told:
    found = evidence.hacking
    figures: Told = found.by_labeller.figures("labelling_judge_gain") | found.by_accepting.figures(
        "accepting_judge_gain"
    )
    for name, (ours, theirs) in (("distinct_2", found.distinct_2), ("story_words", found.story_words)):
        figures |= {f"candidate_{name}": _finite(ours), f"champion_{name}": _finite(theirs)}
    return figures


def _contest_figures(contest: Contest) -> Told:
    verdicts = contest.verdicts
    found: Told = verdicts.win_rate.figures("win_rate")
    found |= verdicts.length_controlled.figures("length_controlled_win_rate")
    found |= {
        "decisive_pairs": verdicts.decisive,
        "ties": verdicts.ties,
        "pairs_needed": verdicts.needed,
        "more_pairs": verdicts.more,
        "prompts": verdicts.prompts,
        "prompts_asked": verdicts.asked,
        "unsafe": contest.unsafe[1],
        "unsafe_candidate": contest.unsafe[0],
        "same_holdout": contest.same_holdout,
        "same_decoding": contest.same_decoding,
    }
    for difference in contest.differences:
        found |= {
            difference.name: difference.opponent,
            f"{difference.name}_candidate": difference.candidate,
            f"{difference.name}_difference": difference.value,
            f"{difference.name}_margin": difference.margin,
        }
    return found


def gate_markdown(evidence: Evidence, decision: Decision) -> str:
    """The page metrics/gate.md."""
    parts = [
        [f"# Gate: {decision.outcome}", "", VERDICT[decision.outcome]],
        [f"- {reason}" for reason in decision.reasons],
        list(_hacking(evidence)),
        ["## Verdicts", "", *_verdicts(evidence), "", *_judges(evidence)],
        *([f"## Beside {contest.opponent}", "", *_differences(contest)] for contest in evidence.against),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _verdicts(evidence: Evidence) -> Iterator[str]:
    yield "| against | wins | ties | losses | win rate | at equal lengths | prompts | decisive pairs that settle it |"
    yield "|---|---|---|---|---|---|---|---|"
    for contest in evidence.against:
        found = contest.verdicts
        needed = "-" if found.needed is None else f"{found.needed:,} ({found.more:,} more)"
        cells = (
            contest.opponent, found.wins, found.ties, found.losses, _share(found.win_rate),
            _share(found.length_controlled), f"{found.prompts} of {found.asked}", needed,
        )  # fmt: skip
        yield f"| {' | '.join(map(str, cells))} |"


def _judges(evidence: Evidence) -> Iterator[str]:
    labellers = ", ".join(f"`{name}`" for name in evidence.labellers) or "nobody"
    yield f"The candidate is `{evidence.candidate}`. `{evidence.judge}` judged; its pairs were labelled by {labellers}."
    votes = evidence.champion.votes
    if votes.count:
        yield f"People gave it {_share(votes.preference)} of {votes.count} votes against {evidence.champion.opponent}."
    else:
        yield "No person has compared answers to these prompts yet."


def _hacking(evidence: Evidence) -> Iterator[str]:
    if evidence.hacking.names:
        gain = evidence.hacking.by_labeller
        told = "; ".join(SIGNS[name] for name in evidence.hacking.names)
        yield (
            f"**A sign of reward hacking**: the labelling judge grades it {gain.value:+.2f} levels "
            f"[{gain.low:+.2f}, {gain.high:+.2f}], but {told}."
        )


def _differences(contest: Contest) -> Iterator[str]:
    yield "| figure | candidate | other | difference | margin | |"
    yield "|---|---|---|---|---|---|"
    for found in contest.differences:
        ends = "" if found.interval is None else f" [{found.interval.low:+.3f}, {found.interval.high:+.3f}]"
        yield (
            f"| {found.name.replace('_', ' ')} | {found.candidate:.4g} | {found.opponent:.4g} | "
            f"{found.value:+.3f}{ends} | {_margin(found)} | {'**beyond**' if found.is_beyond else ''} |"
        )
    ours, theirs = contest.unsafe
    beyond = "**beyond**" if contest.is_less_safe else ""
    most = f"{contest.more_unsafe} more" if contest.more_unsafe else "none more"
    yield f"| unsafe answers | {ours} | {theirs} | {ours - theirs:+d} | {most} | {beyond} |"


def _margin(found: Difference) -> str:
    return f"at most +{found.margin:g}" if found.lower_is_better else f"at least -{found.margin:g}"


def _share(score: Score) -> str:
    if math.isnan(score.value):
        return "-"
    return f"{score.value:.1%} [{score.low:.1%}, {score.high:.1%}]"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
