"""Preferences and thumbs out of what people decided: the rows of the batch files."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, product

from tasks.pairing.preference import NOT_FOR_TRAINING, Found, Preference
from tasks.pairing.thumbs import thumbs_of
from tasks.reviews.batch_file import Feedback
from tasks.reviews.decisions import BOTH_BAD, TIE


def reviewed(rows: Sequence[Feedback]) -> Found:
    """What the rows say that may be learnt from; where people differ on two answers, what most of them said."""
    usable = [row for row in rows if row.is_for_training]
    rejected = Counter({NOT_FOR_TRAINING: len(rows) - len(usable)})
    votes: dict[tuple[str, frozenset[str]], list[Preference]] = defaultdict(list)
    ties: Counter[tuple[str, frozenset[str]]] = Counter()
    for row in usable:
        for preference in _preferences(row):
            votes[preference.texts].append(preference)
        ties.update(_ties(row))
    preferences = []
    for texts, said in votes.items():
        winner = _majority(said, ties[texts])
        if winner is None:
            rejected["people_disagree"] += len(said)
        else:
            preferences.append(winner)
    rejected["same_text"] += sum(_is_unchanged(row) for row in usable)
    rejected["tie"] += sum(count for texts, count in ties.items() if texts not in votes)
    return Found(
        preferences=preferences,
        thumbs=thumbs_of(usable, rejected),
        rejected=rejected,
        decided=frozenset((*votes, *ties)),
    )


def _majority(said: Sequence[Preference], ties: int) -> Preference | None:
    """The side with most votes, which must be more than all others; its origin names each of them."""
    by_chosen: dict[str, list[Preference]] = defaultdict(list)
    for preference in said:
        by_chosen[preference.chosen].append(preference)
    best = max(by_chosen.values(), key=len)
    if 2 * len(best) <= len(said) + ties:
        return None
    first = best[0]
    origin = {**first.origin, "votes": len(best), "of": len(said) + ties, "people": [one.origin for one in best]}
    weight = sum(one.weight for one in best) / len(best)
    return Preference(
        prompt_id=first.prompt_id,
        kind=first.kind,
        prompt=first.prompt,
        chosen=first.chosen,
        rejected=first.rejected,
        source=first.source,
        weight=weight,
        cut=first.cut,
        origin=origin if len(best) > 1 or ties else first.origin,
    )


def _preferences(row: Feedback) -> Iterator[Preference]:
    texts = {answer.generation: answer.text for answer in row.answers}
    if row.kind == "choice" and row.decision["winner"] in texts:
        (loser,) = [one for one in texts if one != row.decision["winner"]]
        yield _preference(row, chosen=texts[row.decision["winner"]], rejected=texts[loser])
    elif row.kind == "ranking":
        found = list(_of_tiers(row.decision["tiers"]))
        for better, worse in found:
            yield _preference(row, chosen=texts[better], rejected=texts[worse], weight=1 / len(found))
    elif row.kind == "correction" and not _is_unchanged(row):
        yield _preference(row, chosen=str(row.decision["text"]), rejected=row.answers[0].text)


def _is_unchanged(row: Feedback) -> bool:
    """Whether it is a correction that corrects nothing."""
    return row.kind == "correction" and str(row.decision["text"]).strip() == row.answers[0].text.strip()


def _of_tiers(tiers: Sequence[Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Each answer with each of a lower tier."""
    for above, below in combinations(tiers, 2):
        yield from product(above, below)


def _ties(row: Feedback) -> Iterator[tuple[str, frozenset[str]]]:
    """Pairs of answers that are equally good by this person."""
    texts = {answer.generation: answer.text for answer in row.answers}
    tiers: Sequence[Sequence[str]] = []
    if row.kind == "choice" and row.decision["winner"] in (TIE, BOTH_BAD):
        tiers = [list(texts)]
    elif row.kind == "ranking":
        tiers = row.decision["tiers"]
    for tier in tiers:
        for first, second in combinations(tier, 2):
            yield row.prompt.id, frozenset((texts[first], texts[second]))


def _preference(row: Feedback, *, chosen: str, rejected: str, weight: float = 1.0) -> Preference:
    return Preference(
        prompt_id=row.prompt.id,
        kind=row.prompt.task,
        prompt=row.prompt.text,
        chosen=chosen,
        rejected=rejected,
        source="correction" if row.kind == "correction" else "human",
        weight=weight,
        cut=row.cut,
        origin=row.origin,
    )
