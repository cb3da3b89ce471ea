"""Thumbs out of what people decided: answers that are good, or bad, beside no other; each answer once."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace

from tasks.pairing.preference import Thumb
from tasks.reviews.batch_file import Answer, Feedback
from tasks.reviews.decisions import BOTH_BAD

GOOD_FROM, BAD_TO = 4.0, 2.0  # the mean level of a rating that is a thumb up, and down


def thumbs_of(rows: Sequence[Feedback], rejected: Counter[str]) -> list[Thumb]:
    """One thumb an answer, the way that most of those point who said anything clear; its origin names each of them."""
    by_answer: dict[tuple[str, str], list[Thumb]] = defaultdict(list)
    for row in rows:
        found = list(_thumbs(row))
        rejected["middling"] += row.kind == "rating" and not found
        for thumb in found:
            by_answer[thumb.prompt_id, thumb.answer].append(thumb)
    return [thumb for said in by_answer.values() for thumb in _agreed(said, rejected)]


def without_leaks(
    thumbs: Sequence[Thumb], clusters: Mapping[str, str], held_back: Set[str], rejected: Counter[str]
) -> list[Thumb]:
    """Those whose prompt has a cluster (by its id), and none of `held_back`: the pairs of these are looked at alone."""
    usable = [thumb for thumb in thumbs if thumb.prompt_id in clusters]
    kept = [thumb for thumb in usable if clusters[thumb.prompt_id] not in held_back]
    rejected["contaminated"] += len(thumbs) - len(usable)
    rejected["held_back"] += len(usable) - len(kept)
    return kept


def _agreed(said: Sequence[Thumb], rejected: Counter[str]) -> Iterator[Thumb]:
    ups = [thumb for thumb in said if thumb.desirable]
    downs = [thumb for thumb in said if not thumb.desirable]
    if len(ups) == len(downs):
        rejected["people_disagree"] += len(said)
        return
    most = max(ups, downs, key=len)
    origin = {**most[0].origin, "votes": len(most), "of": len(said), "people": [one.origin for one in most]}
    yield most[0] if len(said) == 1 else replace(most[0], origin=origin)


def _thumbs(row: Feedback) -> Iterator[Thumb]:
    if row.kind == "rating":
        levels = list(row.decision["scores"].values())
        mean = sum(levels) / len(levels)
        if mean >= GOOD_FROM or mean <= BAD_TO:
            yield _thumb(row, row.answers[0], desirable=mean >= GOOD_FROM)
    elif row.kind == "choice" and row.decision["winner"] == BOTH_BAD:
        for answer in row.answers:
            yield _thumb(row, answer, desirable=False)


def _thumb(row: Feedback, answer: Answer, *, desirable: bool) -> Thumb:
    return Thumb(
        prompt_id=row.prompt.id, kind=row.prompt.task, prompt=row.prompt.text, answer=answer.text,
        desirable=desirable, cut=answer.text in row.cut, origin=row.origin,
    )  # fmt: skip
