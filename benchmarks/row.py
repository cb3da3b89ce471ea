"""One measurement beside its peer's."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """`value` and `peer_value` are in the same unit; the ratio is written so that higher is better. note: what else."""

    name: str
    unit: str
    value: float
    peer: str
    peer_value: float
    bar: float
    lower_is_better: bool
    note: str = ""

    @property
    def ratio(self) -> float:
        pair = (self.peer_value, self.value) if self.lower_is_better else (self.value, self.peer_value)
        return round(pair[0] / pair[1], 3)

    @property
    def reached(self) -> bool:
        return self.ratio >= self.bar

    def __str__(self) -> str:
        verdict = "reached" if self.reached else "NOT reached"
        values = f"{self.value:.2f} {self.unit} beside {self.peer_value:.2f} ({self.peer})"
        note = f"; {self.note}" if self.note else ""
        return f"{self.name}: {values}, ratio {self.ratio} (bar {self.bar}: {verdict}){note}"
