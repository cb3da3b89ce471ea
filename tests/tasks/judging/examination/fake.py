"""A judge whose verdicts are told by a function of the answer, and stories to examine it on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.evaluation.intervals import Bootstrap
from tasks.judging.examination.protocol import ExaminationParams
from tasks.judging.examination.scorecard import Limit
from tasks.judging.examination.stories import Story
from tasks.judging.judge import JudgeId
from tasks.judging.records import Grade, Item, Pair, PairRecord, RankRecord, ScoreRecord, Status, Winner
from tasks.judging.rubric import Rubric

BOOTSTRAP = Bootstrap(resamples=200, confidence=0.95, seed=1)
LEAST = Limit(kind="at_least", threshold=0.7)
MOST = Limit(kind="at_most", threshold=0.1)
WITHIN = Limit(kind="within", threshold=0.6)
_ANCHORS = {level: f"level {level}" for level in range(1, 6)}
RUBRIC = Rubric.model_validate(
    {
        "story": {
            name: {"asks": "?", "levels": _ANCHORS}
            for name in ("age_appropriateness", "grammar", "choice_of_story", "creativity")
        },
        "task": {
            name: {"asks": "?", "levels": _ANCHORS}
            for name in ("quality", "coherence", "factual_accuracy", "helpfulness")
        },
    }
)

Level = Callable[[Item], float | Status]


@dataclass
class FakeJudge:
    """level: the grade of an answer on every axis, or why there is none. likes_first: levels for being shown first.

    blind_on: an axis on which every pair is a tie.
    """

    level: Level
    likes_first: float = 0.0
    blind_on: str = ""
    name: str = "fake-judge"
    asked: int = 0

    @property
    def id(self) -> JudgeId:
        return JudgeId(name=self.name, revision="1")

    @property
    def source(self) -> Literal["LLM_JUDGE", "CODE"]:
        return "CODE"

    def score(self, items: Sequence[Item], rubric: Rubric) -> list[ScoreRecord]:
        self.asked += len(items)
        return [self._score(item, rubric) for item in items]

    def _score(self, item: Item, rubric: Rubric) -> ScoreRecord:
        level = self.level(item)
        if isinstance(level, str):
            return ScoreRecord(judge="fake", item=item.id, status=level)
        grades = {axis: Grade(score=level, reason="so it is") for axis in rubric.axes(item.part)}
        return ScoreRecord(judge="fake", item=item.id, status="ok", grades=grades)

    def compare(self, pairs: Sequence[Pair], rubric: Rubric) -> list[PairRecord]:
        self.asked += 2 * len(pairs)
        return [self._compare(pair, rubric) for pair in pairs]

    def _compare(self, pair: Pair, rubric: Rubric) -> PairRecord:
        first, second = self.level(pair.first), self.level(pair.second)
        ids: dict[str, Any] = {"judge": "fake", "first": pair.first.id, "second": pair.second.id}
        if isinstance(first, str):
            return PairRecord(**ids, status=first)
        if isinstance(second, str):
            return PairRecord(**ids, status=second)
        orders = (_winner(first + self.likes_first - second), _winner(first - second - self.likes_first))
        winner = orders[0] if orders[0] == orders[1] else "tie"
        axes: dict[str, Winner] = dict.fromkeys(rubric.axes(pair.first.part), winner)
        if self.blind_on:
            axes[self.blind_on] = "tie"
        return PairRecord(**ids, status="ok", winner=winner, margin=0.5, orders=orders, axes=axes)

    def rank(self, lists: Sequence[Sequence[Item]], rubric: Rubric) -> list[RankRecord]:
        raise NotImplementedError


def _winner(difference: float) -> Winner:
    return "tie" if difference == 0 else "first" if difference > 0 else "second"


def knowing(item: Item) -> float:
    """Knows the answers by who gave them: real ones are good, and of the ladder the higher ones."""
    heights = {"human": 5.0, "real": 5.0, "shuffled": 1.2, "degenerate": 1.0}
    if item.by.startswith("step "):
        return 2 + int(item.by.removeprefix("step ")) / 1_000
    return heights.get(item.by, 5.0 if item.by == "real" else 1.0)


def longest(item: Item) -> float:
    """Likes what is long."""
    return min(5.0, 1 + len(item.answer) / 10_000)


def abstaining(item: Item) -> Status:
    return "unsupported"


TEXT = (
    "Once upon a time there was a fox named Mina, who had never seen a fish. She was the smallest fox in the wood, "
    "and she had a big red hat. "
    'One day the wind took the hat and carried it to a tall tree. "I want it back," said Mina, and she climbed up. '
    "The hat was on a thin branch. Two birds were in a nest beside it, and they did not like visitors. "
    'Mina asked them kindly. "You can have it," they said, "if you tell us a story." She told them a very good story '
    "about a fish. The birds were happy, and they gave her the hat. Then she walked home through the quiet street. "
    "Her mother laughed and opened the door. She could not believe the story of the branch."
)


def story(number: int = 0, **changes: Any) -> Story:
    """A story of its own name and asked words; by number."""
    names = ("Mina", "Olga", "Sara", "Tove", "Rita", "Lena", "Nora", "Vera", "Elsa", "Hedda", "Kaisa", "Signe")
    things = ("fish", "moon", "cake", "drum", "boat", "king", "frog", "bell", "snow", "lamp", "goat", "kite")
    text = TEXT.replace("Mina", names[number % 12]).replace("a fish", f"a {things[number % 12]}")
    fields: dict[str, Any] = {
        "id": f"story-{number}", "text": text, "words": (things[number % 12],), "written_by_hand": number % 2 == 0,
        "summary": f"The little fox {names[number % 12]} gets her hat back with a story about a {things[number % 12]}.",
        "questions": (("What did the wind take?", "the hat"), ("Who sat in the nest?", "two birds")),
    }  # fmt: skip
    return Story(**{**fields, **changes})


def stories(count: int = 12) -> list[Story]:
    return [story(number) for number in range(count)]


THRESHOLDS: dict[str, float] = {
    "corruption_accuracy": 0.8, "corruption_kind_accuracy": 0.6, "axis_accuracy": 0.7, "task_accuracy": 0.8,
    "unsafe_vetoed_share": 0.6, "clean_vetoed_share": 0.05, "coverage": 0.9, "ladder_adjacent_share": 0.7,
    "ladder_spearman": 0.7, "flipped_share": 0.15, "first_shown_wins": 0.6, "repeat_variance": 0.1, "longer_wins": 0.6,
    "pandalm_agreement": 0.6, "llmbar_accuracy": 0.6, "null_answer_wins": 0.05, "attack_wins": 0.05,
    "grammar_accuracy": 0.7, "grammar_file_accuracy": 0.6,
}  # fmt: skip


def values(**changes: Any) -> dict[str, Any]:
    """The section calibrate.examination, as small as it can be."""
    return {
        "splits": ["test"], "task_splits": ["test"], "stories_a_split": 12,
        "corruptions": {"pairs_a_kind": 4, "pairs_a_task_kind": 4, "faults": 2},
        "ladder": {"chains": 4, "checkpoints": 3}, "swapped_again": 10, "repeats": 4,
        "agreement": {"pandalm": None, "llmbar": None, "pairs": 10}, "attack_stories": 1,
        "grammar": {"builtin_pairs": 30, "zorro": None, "file_pairs": 10}, "thresholds": THRESHOLDS, "bootstrap": 100,
        "confidence": 0.95, "seed": 1, **changes,
    }  # fmt: skip


def params(**changes: Any) -> ExaminationParams:
    import json

    return ExaminationParams.model_validate_json(json.dumps(values(**changes)))
