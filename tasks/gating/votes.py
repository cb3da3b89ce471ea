"""What people said of two models' answers to hold-out prompts: their votes, out of the rows of the batch files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.evaluation.intervals import Bootstrap, Score
from tasks.judging.comparing.rates import bounded_mean
from tasks.judging.records import Item
from tasks.reviews.batch_file import Feedback
from tasks.reviews.decisions import BOTH_BAD, TIE


@dataclass(frozen=True, kw_only=True)
class Votes:
    """The share of votes for the candidate; a tie is half a vote for each."""

    preference: Score
    count: int


def votes_between(
    rows: Iterable[Feedback], ours: Sequence[Item], theirs: Sequence[Item], *, bootstrap: Bootstrap
) -> Votes:
    """People's choices and rankings between the texts of two models, on prompts that nothing may be learnt from.

    Texts are known by their ids, whichever batch showed them; what was shown as a check is no vote.
    """
    texts = {item.prompt_id: (item.id, "") for item in ours}
    texts |= {item.prompt_id: (texts[item.prompt_id][0], item.id) for item in theirs if item.prompt_id in texts}
    found = [vote for row in rows if _counts(row) for vote in _votes(row, texts)]
    values, prompts = [value for _, value in found], [prompt for prompt, _ in found]
    score = bounded_mean(values, prompts, bootstrap=bootstrap, lowest=0.0, highest=1.0)
    return Votes(preference=score, count=len(found))


def _counts(row: Feedback) -> bool:
    return row.purpose == "ordinary" and row.prompt.split == "holdout"


def _votes(row: Feedback, texts: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, float]]:
    """The prompt, and 1 for our text, 0 for theirs, one half for neither."""
    ours, theirs = texts.get(row.prompt.id, ("", ""))
    shown = {answer.judged_item: answer.generation for answer in row.answers}
    if ours == theirs or ours not in shown or theirs not in shown:
        return
    places = _places(row)
    if places:
        ahead = places[shown[theirs]] - places[shown[ours]]
        yield row.prompt.id, 0.5 if ahead == 0 else float(ahead > 0)


def _places(row: Feedback) -> dict[str, int]:
    """The place of each generation, 0 the best; empty where the answers were not compared."""
    if row.kind == "ranking":
        return {one: place for place, tier in enumerate(row.decision["tiers"]) for one in tier}
    if row.kind != "choice":
        return {}
    winner = row.decision["winner"]
    return {one: int(winner not in (TIE, BOTH_BAD, one)) for one in row.generations}
