"""Which preferences stay: people over the judge, no leak, no more of a prompt than its share, no taste for length."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set

from tasks.pairing.preference import Preference, Thumb
from tasks.reviews.clusters import Known, place

VETO = 1.0  # a judge's margin where one of the two is unsafe


def without_decided(
    judged: Sequence[Preference], decided: Set[tuple[str, frozenset[str]]], rejected: Counter[str]
) -> list[Preference]:
    """A judge's preferences without those that people spoke on."""
    kept = [one for one in judged if one.texts not in decided]
    rejected["overruled"] += len(judged) - len(kept)
    return kept


def beside_people(
    preferences: Sequence[Preference], *, people: int | None, share: float, rejected: Counter[str]
) -> list[Preference]:
    """All of them until people have at least `people` (None: always); then people's, and of the judge's its vetoes
    and its surest, at most `share` of people's count: many would drown theirs.

    Half of the surest prefer the longer answer, so that the balance of lengths takes none of them away.
    """
    said = [one for one in preferences if one.source != "judge"]
    if people is None or len(said) < people:
        return list(preferences)
    judged = sorted((one for one in preferences if one.source == "judge"), key=lambda one: (-one.margin, one.id))
    unsure = [one for one in judged if one.margin < VETO]
    longer = [one for one in unsure if one.chosen_is_longer]
    shorter = [one for one in unsure if not one.chosen_is_longer]
    half = int(share * len(said)) // 2
    gone = {one.id for one in [*longer[half:], *shorter[half:]]}
    rejected["stood_in"] += len(gone)
    return [one for one in preferences if one.source != "judge" or one.id not in gone]


def without_same_texts(preferences: Sequence[Preference], rejected: Counter[str]) -> list[Preference]:
    """Without answers that differ in spaces alone."""
    kept = [one for one in preferences if one.chosen.split() != one.rejected.split()]
    rejected["same_text"] += len(preferences) - len(kept)
    return kept


def clusters(found: Sequence[Preference | Thumb], held_out: Mapping[str, str], *, jaccard: float) -> dict[str, str]:
    """The cluster of each prompt id that may be learnt from: none that is near to a held-out prompt (text by id)."""
    known = [Known(id=name, text=text, cluster=name, split="holdout") for name, text in held_out.items()]
    prompts = {one.prompt_id: one.prompt for one in found}
    return dict(place(prompts, known, split="train", jaccard=jaccard).clusters)


def without_leaks(
    preferences: Sequence[Preference], found: Mapping[str, str], rejected: Counter[str]
) -> list[Preference]:
    """Those whose prompt has a cluster."""
    kept = [one for one in preferences if one.prompt_id in found]
    rejected["contaminated"] += len(preferences) - len(kept)
    return kept


def capped(preferences: Sequence[Preference], *, most: int, rejected: Counter[str]) -> list[Preference]:
    """At most so many of a prompt: people's first, then those whose shorter answer won (fewer), then the surest."""
    by_prompt: dict[str, list[Preference]] = defaultdict(list)
    for one in sorted(preferences, key=_rank):
        by_prompt[one.prompt_id].append(one)
    kept = {one.id for group in by_prompt.values() for one in group[:most]}
    rejected["over_cap"] += sum(one.id not in kept for one in preferences)
    return [one for one in preferences if one.id in kept]


def _rank(one: Preference) -> tuple[bool, bool, float, str]:
    return one.source == "judge", one.chosen_is_longer, -one.margin, one.id


def balanced(preferences: Sequence[Preference], *, off_half: float, rejected: Counter[str]) -> list[Preference]:
    """With P(chosen is longer) at most `off_half` from one half; the judge's least sure of the commoner sort go.

    People's stay whatever they are, so it can end farther from one half: the share is reported.
    """
    longer = [one for one in preferences if one.chosen_is_longer]
    shorter = [one for one in preferences if one.rejected_is_longer]
    common, rare = (longer, shorter) if len(longer) >= len(shorter) else (shorter, longer)
    share = 0.5 + off_half
    most = int(len(rare) * share / (1 - share)) if share < 1 else len(common)
    surplus = max(0, len(common) - most)
    unsure = sorted((one for one in common if one.source == "judge"), key=lambda one: (one.margin, one.id))
    gone = {one.id for one in unsure[:surplus]}
    rejected["length_balance"] += len(gone)
    return [one for one in preferences if one.id not in gone]


def longer_share(preferences: Sequence[Preference]) -> float | None:
    """P(chosen is longer) among those of different lengths; None where there is none."""
    longer = sum(one.chosen_is_longer for one in preferences)
    shorter = sum(one.rejected_is_longer for one in preferences)
    return longer / (longer + shorter) if longer + shorter else None
