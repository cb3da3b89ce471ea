"""A small judge: made from a hundred stories of one pattern, once for all tests."""

import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tasks.cleaning.safety import SafetyParams
from tasks.judging.heuristic import HeuristicJudge, HeuristicParams, load_heuristic, train_heuristic
from tasks.judging.records import Item
from tasks.judging.rubric import load_rubric
from tasks.records import Record, write_records
from tests.conftest import ROOT

RUBRIC = load_rubric(ROOT / "rubric.yaml")
POLICY = SafetyParams.model_validate(
    {"allowed": (), "categories": {"weapons": {"action": "reject", "words": ("gun",), "rules": ()}}}
)
Name = Literal["heuristic-a", "heuristic-b"]
_MODELS: dict[Name, dict[str, Any]] = {
    "heuristic-a": {"kind": "subword_ngram", "order": 4, "vocabulary_size": 500},
    "heuristic-b": {"kind": "byte_ngram", "order": 7},
}
REQUEST = "Write a story with the words fox, river, happy."


def params(name: Name, **changes: Any) -> HeuristicParams:
    """The parameters of a small judge."""
    values: dict[str, Any] = {
        "language_model": _MODELS[name], "reference_share": 0.4, "window_words": 4, "worst_share": 0.1,
        "rare_per_million": 3.0, "copied_ngram": 12, "most_unknown": 0.4,
        "axis_weights": {"creativity": 0.5}, "tie_margin": 0.05,
    }  # fmt: skip
    return HeuristicParams.model_validate(values | changes)


def story(number: int, *, animal: str = "", place: str = "") -> str:
    """The story of a number: always the same pattern, other words."""
    rng = random.Random(number)  # noqa: S311 - draws words
    animal = animal or rng.choice(["fox", "cat", "bear", "duck", "mouse", "goat", "frog", "dog"])
    place = place or rng.choice(["river", "hill", "forest", "garden", "pond", "house"])
    name = rng.choice(["Tom", "Mia", "Ben", "Lily", "Sam", "Ann"])
    thing = rng.choice(["ball", "hat", "cake", "kite", "shoe", "drum"])
    return (
        f"Once upon a time there was a little {animal} named {name}. {name} lived by the {place} and was happy every "
        f"day. One morning {name} lost a red {thing}. The little {animal} looked under the bed and behind the door, "
        f"but it was not there. {name} was very sad and did not want to eat.\n\nThen a friend came to the {place}. "
        f"The friend was kind and had the {thing} in a bag. They played together until the sun went down. In the end "
        f"{name} was happy and went home to sleep."
    )


def write_stories(path: Path, count: int = 100) -> Path:
    """A split of such stories."""
    write_records(path, (Record(text=story(n), source="tests", licence="CC0-1.0", group=f"{n}") for n in range(count)))
    return path


@cache
def judge(name: Name) -> HeuristicJudge:
    """The small judge of a name, trained, written and read back."""
    root = Path(tempfile.mkdtemp(prefix="heuristic-"))
    train_heuristic(
        name, params(name), stories=write_stories(root / "stories.parquet"), policy=POLICY, folder=root / name
    )
    return load_heuristic(root / name)


def item(answer: str, *, prompt: str = REQUEST, kind: str = "story", **more: Any) -> Item:
    """An answer to a request of one prompt id."""
    return Item(prompt_id="p", kind=kind, prompt=prompt, answer=answer, by="tests", **more)
