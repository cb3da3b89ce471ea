"""What people decided on each answer that they rated or corrected, and whether that is reason to learn from it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import fmean

from tasks.mixing.declarations import FeedbackParams
from tasks.reviews.batch_file import Feedback, Prompt

CORRECTION, RATING = "correction", "rating"  # kinds of decision, and why an answer is learnt from


@dataclass(eq=False)
class Decided:
    """An answer to a prompt, and the decisions on it.

    written: corrections that ended in it, of the answers `originals`; changed, left: corrections of it that changed it,
    and that left it as it was; is_cut: it ended because it was as long as it could be.
    """

    prompt: Prompt
    text: str
    originals: list["Decided"] = field(default_factory=list)
    written: list[Feedback] = field(default_factory=list)
    changed: list[Feedback] = field(default_factory=list)
    left: list[Feedback] = field(default_factory=list)
    rated: list[Feedback] = field(default_factory=list)
    is_cut: bool = False

    @property
    def levels(self) -> list[float]:
        """The mean level that each person gave it."""
        by_person: dict[str, list[float]] = defaultdict(list)
        for row in self.rated:
            by_person[row.reviewer].append(fmean(row.decision["scores"].values()))
        return [fmean(levels) for levels in by_person.values()]

    def why(self, params: FeedbackParams) -> str:
        return CORRECTION if self.written and params.corrections else RATING

    def problem(self, params: FeedbackParams) -> str | None:
        """The reason not to learn from it, of tasks.mixing.feedback.REASONS."""
        levels = self.levels
        if not self.text:
            return "empty"
        is_low = bool(levels) and fmean(levels) < params.least_rating
        if self.why(params) == CORRECTION:
            return "people_differ" if is_low or self._is_doubted else None
        if self.changed and _people(self.changed) >= _people(self.left):
            return "corrected"
        if not levels:
            return "unchanged" if self.left else "corrections_off"
        if len(levels) < params.least_ratings:
            return "few_ratings"
        return "low_rating" if is_low else None

    @property
    def _is_doubted(self) -> bool:
        """Whether as many people changed it again, or found nothing to correct before, as stand for it."""
        needless = [row for original in self.originals for row in original.left]
        return _people([*self.changed, *needless]) >= _people([*self.written, *self.left])

    def decisions(self, params: FeedbackParams) -> list[Feedback]:
        """Those that speak for it."""
        return [*(self.written if self.why(params) == CORRECTION else self.rated), *self.left]


def decided(rows: Iterable[Feedback]) -> Iterator[Decided]:
    """Each answer that was rated, written or left as it was; what differs in spaces alone is one answer.

    rows: ratings and corrections. In their order.
    """
    found: dict[tuple[str, str, str], Decided] = {}

    def at(row: Feedback, text: str) -> Decided:
        key = (row.prompt.task, row.prompt.text, " ".join(text.split()))
        return found.setdefault(key, Decided(prompt=row.prompt, text=text.strip()))

    for row in rows:
        answer = at(row, row.answers[0].text)
        answer.is_cut |= row.answers[0].text in row.cut
        if row.kind == RATING:
            answer.rated.append(row)
        elif (corrected := at(row, str(row.decision["text"]))) is answer:
            answer.left.append(row)
        else:
            answer.changed.append(row)
            corrected.written.append(row)
            corrected.originals.append(answer)
            corrected.is_cut |= str(row.decision["text"]) in row.cut
    yield from (answer for answer in found.values() if answer.written or answer.left or answer.rated)


def _people(rows: Iterable[Feedback]) -> int:
    return len({row.reviewer for row in rows})
