"""What the doctor says of one thing that it looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at: what, how it is, and what to do (empty: nothing)."""

    what: str
    state: State
    seen: str
    advice: str = ""
