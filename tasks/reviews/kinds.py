"""The words that reviews are told in: kinds of item, roles, actions, purposes, splits."""

from typing import Any, Literal

Kind = Literal["choice", "ranking", "rating", "correction"]
KINDS: tuple[Kind, ...] = ("choice", "ranking", "rating", "correction")
Role = Literal["reviewer", "owner"]
Action = Literal["answer", "skip", "undo"]
Purpose = Literal["ordinary", "gold", "again"]
Split = Literal["train", "judge_calibration", "gold", "holdout"]  # what a prompt's cluster may be used for
SPLITS: tuple[Split, ...] = ("train", "judge_calibration", "gold", "holdout")

Values = dict[str, Any]
