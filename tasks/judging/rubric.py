"""The rubric: axes with levels 1 to 5, each level with an anchor that says what it looks like."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from tasks.stage import Params, UserError, mistake_in

LEVELS = (1, 2, 3, 4, 5)
Part = Literal["story", "task"]


class Axis(Params):
    """One thing that an answer is judged on. needs: the least levels of other axes below which this one is level 1."""

    asks: str = Field(min_length=1)
    levels: Mapping[int, str]
    needs: Mapping[str, int] = {}

    @model_validator(mode="after")
    def _has_every_anchor(self) -> "Axis":
        if tuple(sorted(self.levels)) != LEVELS:
            raise ValueError(f"give an anchor to each of the levels {', '.join(map(str, LEVELS))}, and to no other")
        if empty := [level for level, anchor in self.levels.items() if not anchor.strip()]:
            raise ValueError(f"level {empty[0]} has no anchor")
        return self


class Rubric(Params):
    """The axes of stories and those of all other tasks."""

    story: Mapping[str, Axis] = Field(min_length=1)
    task: Mapping[str, Axis] = Field(min_length=1)

    @model_validator(mode="after")
    def _needs_are_known(self) -> "Rubric":
        for axes in (self.story, self.task):
            for name, axis in axes.items():
                for other, level in axis.needs.items():
                    if other not in axes or other == name:
                        raise ValueError(f"{name}.needs: no other axis '{other}'; there are {', '.join(axes)}")
                    if level not in LEVELS:
                        raise ValueError(f"{name}.needs.{other}: {level} is no level; allowed: 1 to 5")
        if twice := set(self.story) & set(self.task):
            raise ValueError(f"'{min(twice)}' is an axis of both parts; figures go by the axis's name")
        return self

    def axes(self, part: Part) -> Mapping[str, Axis]:
        """The axes of a part, in the order of the file."""
        return self.story if part == "story" else self.task

    @cached_property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of what it says: part of each verdict's key."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json")).encode()).hexdigest()[:16]


def load_rubric(path: Path) -> Rubric:
    """Reads a rubric. Raises UserError naming the file and the axis where it is none."""
    try:
        return Rubric.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise UserError(f"{path}: {mistake_in(error)}") from None
