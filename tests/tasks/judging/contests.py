"""Answers and verdicts made up for tests."""

from collections.abc import Mapping, Sequence

from tasks.judging.records import SWAPPED, Grade, Item, PairRecord, ScoreRecord, Status, Winner

JUDGE = "heuristic-b@12345678"


def item(by: str, prompt: str, answer: str = "", *, kind: str = "story") -> Item:
    return Item(prompt_id=prompt, kind=kind, prompt=f"Tell of {prompt}.", answer=answer or f"{by} of {prompt}", by=by)


def verdict(first: Item, second: Item, winner: Winner | None, *, flipped: bool = False) -> PairRecord:
    """A verdict asked in both orders; winner None: a reply that could not be read."""
    if winner is None:
        return PairRecord(judge=JUDGE, first=first.id, second=second.id, status="parse_error", reason="no JSON")
    orders: tuple[Winner, Winner] = ("first", "second") if flipped else (winner, winner)
    margin = {"first": 0.5, "tie": 0.0, "second": -0.5}[winner]
    return PairRecord(
        judge=JUDGE, first=first.id, second=second.id, status="ok", winner=winner, margin=margin, orders=orders,
        axes={"grammar": winner}, reason=f"{winner} reads better",
    )  # fmt: skip


def grades(answer: Item, levels: Mapping[str, float] | None, *, status: Status = "ok") -> ScoreRecord:
    """Grades by axis; None: no verdict, for the status's reason."""
    if levels is None:
        return ScoreRecord(judge=JUDGE, item=answer.id, status=status, reason=f"because of {status}")
    held = {
        axis: Grade(score=score, reason=f"{axis} is {score}", is_proxy=axis == "creativity")
        for axis, score in levels.items()
    }
    return ScoreRecord(judge=JUDGE, item=answer.id, status="ok", grades=held)


def contest(
    first: str, second: str, winners: Sequence[Winner | None], *, kind: str = "story", start: int = 0
) -> tuple[list[Item], list[PairRecord]]:
    """Both models' answers to as many prompts as there are winners, and the verdicts."""
    answers: list[Item] = []
    pairs: list[PairRecord] = []
    for number, winner in enumerate(winners, start=start):
        ours, theirs = (item(by, f"{kind} {number}", kind=kind) for by in (first, second))
        answers += [ours, theirs]
        pairs.append(verdict(ours, theirs, winner))
    return answers, pairs


def turned(winner: Winner | None) -> Winner | None:
    return SWAPPED[winner] if winner else None
