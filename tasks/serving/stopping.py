"""A reply ends before the first of some texts, wherever the borders of tokens are; nothing of that text leaves."""

from collections.abc import Sequence


class Stops:
    """Looks for stop texts in what comes piece by piece."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""  # the end of what came, which may be the beginning of a stop text
        self.found = False

    def add(self, text: str) -> str:
        """What may leave: all that can't be part of a stop text. Once one was found, nothing."""
        if self.found or not self._stops:
            return "" if self.found else text
        held = self._held + text
        places = [at for stop in self._stops if (at := held.find(stop)) >= 0]
        self.found = bool(places)
        leaves = min(places) if places else len(held) - self._beginning(held)
        self._held = "" if places else held[leaves:]
        return held[:leaves]

    def end(self) -> str:
        """What was held back, where nothing comes any more."""
        held, self._held = self._held, ""
        return held

    def _beginning(self, text: str) -> int:
        """How many characters at its end may begin a stop text."""
        longest = 0
        for stop in self._stops:
            for size in range(min(len(stop) - 1, len(text)), longest, -1):
                if text.endswith(stop[:size]):
                    longest = size
                    break
        return longest
