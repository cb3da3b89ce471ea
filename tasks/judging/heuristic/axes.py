"""From measures to grades: which measure speaks for which axis, and what a reviewer is told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from tasks.judging.heuristic.english import Fault
from tasks.judging.heuristic.measures import MEASURES
from tasks.judging.heuristic.reference import Usual, level, pooled
from tasks.judging.records import Grade
from tasks.judging.rubric import Axis
from tasks.stage import UserError

NOTHING = 1.0  # the level of an answer that is none
OFF_TOPIC = 0.05  # a share of what was asked for below which an answer has nothing to do with it
ABOVE_GRAMMAR = {"age_appropriateness": 2.0, "choice_of_story": 1.0}  # levels that an axis may lie above grammar
FAULTS_SHOWN = 3  # of an answer's faults of grammar, in the reason
WITHOUT_ENDING = 1.0  # levels that a story loses which breaks off in a sentence; 3 is the most it has by the rubric
MOST_CREATIVE = 4.5  # of what counting can see

# Which measures speak for an axis, and how much a step of each counts: set by what they mean, fitted to nothing.
AGE = {"rare_words": 0.5, "unfamiliar_words": 0.5, "word_length": 0.25, "sentence_length": 0.25}
GRAMMAR = {
    "bits_per_letter": 0.15, "likelihood": 0.15, "worst_windows": 0.1, "meeting_place": 0.1, "repairs": 0.5,
    "misspelt_words": 1.0, "slips": 0.5, "broken_rules": 1.0,
}  # fmt: skip
STORY = {
    "order": 0.4, "early_mentions": 0.2, "newcomers": 0.4, "opening_kept": 0.6, "ending": 0.25, "closing": 0.25,
    "beginning": 0.2, "shortness": 0.3,
}  # fmt: skip
CREATIVITY = {"repetition": 0.8, "distinct_words": 0.4, "copied": 0.4, "fresh_words": 0.3}
QUALITY = {
    "bits_per_letter": 0.3,
    "likelihood": 0.3,
    "misspelt_words": 0.8,
    "slips": 0.4,
    "broken_rules": 0.8,
    "repetition": 0.5,
}
COHERENCE = {"worst_windows": 0.6, "repetition": 0.6}


@dataclass(frozen=True)
class Evidence:
    """What is known of an answer. measured: by measure; shares: 0 to 1, 1 is best (constraints, gain, overlap ...)."""

    measured: Mapping[str, float]
    usual: Mapping[str, Usual]
    shares: Mapping[str, float] = field(default_factory=dict)
    unsafe: str = ""
    broken: Sequence[Fault] = ()  # rules of grammar
    is_too_short: bool = False  # to be a story
    breaks_off: bool = False  # before a sentence is over

    def steps(self, names: Iterable[str]) -> dict[str, float]:
        """How far off the reference each measure is that could be taken."""
        taken = [name for name in names if name in self.measured and name in self.usual]
        return {name: self.usual[name].steps(self.measured[name], **asdict(MEASURES[name])) for name in taken}

    def parts(self, names: Iterable[str]) -> dict[str, float]:
        """The measures as they are, for a grade's record."""
        return {name: round(self.measured[name], 6) for name in names}

    def known(self, *names: str) -> dict[str, float]:
        """Those of the shares that are known."""
        return {name: round(self.shares[name], 6) for name in names if name in self.shares}

    def share(self, *names: str) -> float | None:
        """The mean of those shares that are known; None where none is."""
        known = [self.shares[name] for name in names if name in self.shares]
        return sum(known) / len(known) if known else None


def grades(evidence: Evidence, axes: Mapping[str, Axis]) -> dict[str, Grade]:
    """A grade for each axis of the rubric; one that needs others is level 1 where they are too low.

    Raises UserError for an axis that these judges have no measure for.
    """
    if unknown := [name for name in axes if name not in GRADERS]:
        raise UserError(f"the rubric's axis '{unknown[0]}' has no measure; heuristic judges know {', '.join(GRADERS)}")
    found = {name: GRADERS[name](evidence) for name in axes}
    if evidence.is_too_short:
        found |= {
            name: Grade(score=NOTHING, reason="Too few words to be a story.") for name in axes if name != "grammar"
        }
    _held_to_grammar(found)
    for name, axis in axes.items():
        low = [other for other, least in axis.needs.items() if found[other].score < least]
        if axis.needs and not low:  # what is less consistent counts less, above those levels too
            consistent = min((found[other].score - NOTHING) / 4 for other in axis.needs)
            score = NOTHING + (found[name].score - NOTHING) * consistent
            found[name] = replace(found[name], score=score)
        if low:
            reason = f"Not counted: {' and '.join(low)} too low for it. {found[name].reason}"
            found[name] = replace(found[name], score=NOTHING, reason=reason)
    return found


def _held_to_grammar(found: dict[str, Grade]) -> None:
    """What is hardly language can't be followed and tells no story, whatever words it holds."""
    for name, above in ABOVE_GRAMMAR.items():
        if "grammar" in found and name in found and found[name].score > found["grammar"].score + above:
            reason = f"{found[name].reason} Held to {above:g} above grammar: what can't be read is not followed."
            found[name] = replace(found[name], score=found["grammar"].score + above, reason=reason)


def nothing(axes: Mapping[str, Axis], reason: str) -> dict[str, Grade]:
    """The grades of an answer that says nothing: level 1 on all axes."""
    return {name: Grade(score=NOTHING, reason=reason) for name in axes}


def _age(evidence: Evidence) -> Grade:
    if evidence.unsafe:
        return Grade(
            score=NOTHING, reason=f"Unsafe by the policy's words and rules: {evidence.unsafe}.", parts={"safety": 0.0}
        )
    steps = evidence.steps(AGE)
    parts = {"safety": 1.0, **evidence.parts(steps)}
    told = f"Nothing unsafe by the policy's words and rules; how frightening it is was not measured. {_worst(steps)}"
    return Grade(score=level(pooled(steps, AGE)), reason=told, is_proxy=True, parts=parts)


def _grammar(evidence: Evidence) -> Grade:
    steps = evidence.steps(GRAMMAR)
    told = f"Measured by how likely the words are in good stories, and by rules; not parsed. {_worst(steps)}"
    reason = f"{told}{_broken(evidence.broken)}"
    return Grade(score=level(pooled(steps, GRAMMAR)), reason=reason, is_proxy=True, parts=evidence.parts(steps))


def _broken(faults: Sequence[Fault]) -> str:
    """The first faults of grammar with their rules, so that a reader finds them."""
    shown = [f'"{fault.shown}" ({fault.rule.replace("_", " ")})' for fault in faults[:FAULTS_SHOWN]]
    return f" Broken rules: {', '.join(shown)}{' ...' if len(faults) > len(shown) else ''}." if shown else ""


def _choice(evidence: Evidence) -> Grade:
    steps = evidence.steps(STORY)
    story, fit = level(pooled(steps, STORY)), evidence.share("constraints_met", "prompt_gain")
    asked = (
        "Nothing that was asked for could be checked." if fit is None else f"{fit:.0%} of what was asked for is there."
    )
    score = story if fit is None else (story + _of(fit)) / 2
    if fit is not None and fit < OFF_TOPIC:
        score = min(score, 2.0)
    if evidence.breaks_off:
        score = min(3.0, max(NOTHING, score - WITHOUT_ENDING))
        asked = f"It breaks off: the ending is missing. {asked}"
    told = f"{asked} Measured by words, not by meaning. {_worst(steps)}"
    parts = {**evidence.parts(steps), **evidence.known("constraints_met", "prompt_gain")}
    return Grade(score=score, reason=told, is_proxy=True, parts=parts)


def _creativity(evidence: Evidence) -> Grade:
    steps = evidence.steps(CREATIVITY)
    told = f"Measured by repetition, copying and unusual words that fit; ideas were not looked at. {_worst(steps)}"
    # level 5 is beyond what counting can see
    score = 1 + (level(pooled(steps, CREATIVITY)) - 1) * (MOST_CREATIVE - 1) / 4
    return Grade(score=score, reason=told, is_proxy=True, parts=evidence.parts(steps))


def _quality(evidence: Evidence) -> Grade:
    steps = evidence.steps(QUALITY)
    told = f"Measured by how likely its words are in good stories, by spelling, length and repetition. {_worst(steps)}"
    score, length = level(pooled(steps, QUALITY)), evidence.share("length")
    score = score if length is None else min(score, _of(length))
    parts = {**evidence.parts(steps), **evidence.known("length")}
    return Grade(score=score, reason=told, is_proxy=True, parts=parts)


def _coherence(evidence: Evidence) -> Grade:
    steps, overlap = evidence.steps(COHERENCE), evidence.share("overlap")
    score = level(pooled(steps, COHERENCE))
    told = f"Measured by its least likely stretch and by the words it shares with what it is about. {_worst(steps)}"
    score = score if overlap is None else (score + _of(overlap)) / 2
    parts = {**evidence.parts(steps), **evidence.known("overlap")}
    return Grade(score=score, reason=told, is_proxy=True, parts=parts)


def _accuracy(evidence: Evidence) -> Grade:
    like, supported = evidence.share("reference"), evidence.share("supported")
    parts = evidence.known("reference", "supported")
    if like is not None:
        told = f"{like:.0%} like the nearest reference, by shared words and letters."
        return Grade(score=_of(like), reason=told, parts=parts)
    if supported is not None:
        told = f"There is no reference; {supported:.0%} of its words of content stand in what it was told from."
        return Grade(score=_of(supported), reason=told, is_proxy=True, parts=parts)
    return Grade(score=3, reason="No reference, no document: nothing could be checked.", is_proxy=True, parts=parts)


def _helpfulness(evidence: Evidence) -> Grade:
    names = ("answered", "constraints_met", "reference", "prompt_gain")
    done = evidence.share(*names) or 0.0
    told = f"{done:.0%} done: answered or refused, kept to what was asked for, like the references."
    return Grade(score=_of(done), reason=told, is_proxy=True, parts=evidence.known(*names))


def _of(share: float) -> float:
    return 1 + 4 * min(1.0, max(0.0, share))


def _worst(steps: Mapping[str, float]) -> str:
    """The measure that is furthest off, in words."""
    name = max(steps, key=lambda at: steps[at])
    if steps[name] <= 1:
        return "All of it is within what is usual in good stories."
    return f"Furthest off: {PLAIN[name]}, {steps[name]:.1f} times as far as the worst twentieth of good stories."


GRADERS: Mapping[str, Callable[[Evidence], Grade]] = {
    "age_appropriateness": _age,
    "grammar": _grammar,
    "choice_of_story": _choice,
    "creativity": _creativity,
    "quality": _quality,
    "coherence": _coherence,
    "factual_accuracy": _accuracy,
    "helpfulness": _helpfulness,
}
PLAIN: Mapping[str, str] = {
    "bits_per_letter": "unlikely letters",
    "likelihood": "unlikely words",
    "unfamiliar_words": "words that no known story has",
    "worst_windows": "a stretch of unlikely words",
    "meeting_place": "unlikely words where prompt and answer meet",
    "misspelt_words": "words that are in no dictionary",
    "slips": "missing capitals, marks or quotes, a for an, doubled words",
    "broken_rules": "broken rules of grammar",
    "repairs": "words whose place another form, an article or another order would fill better",
    "rare_words": "rare words",
    "word_length": "long words",
    "sentence_length": "long sentences",
    "order": "sentences that stand in an unusual place",
    "early_mentions": "things that are spoken of before they are introduced",
    "ending": "an unlikely ending",
    "opening_kept": "little of the opening taken up",
    "newcomers": "somebody new again and again",
    "closing": "a last sentence that does not close the story",
    "beginning": "an unlikely beginning",
    "shortness": "too few words",
    "repetition": "repeated runs of words",
    "distinct_words": "the same words over and over",
    "copied": "runs of words copied from known stories",
    "fresh_words": "only the commonest words",
}
