"""What it takes to judge a thousand pairs of stories."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.row import Row

if TYPE_CHECKING:
    from tasks.judging.heuristic import HeuristicJudge

PAIRS = 1_000
STORIES = 900  # that the judge learns from: a tenth of the default's
MOST_S = 60.0
JUDGE = "heuristic-b"


def judge_1000_pairs_vs_60_s() -> Row:
    """Seconds for 1,000 pairs of built-in stories in both orders, 2,000 texts in all, with the accepting judge."""
    from tasks.judging.records import Item, Pair
    from tasks.judging.rubric import load_rubric
    from tasks.storybook.generator import generate_stories

    texts = [story.text for story in generate_stories(seed=7, count=STORIES + 2 * PAIRS)]
    judge = _judge(texts[:STORIES])
    items = [
        Item(prompt_id=str(at // 2), kind="story", prompt="Write a story.", answer=text, by="")
        for at, text in enumerate(texts[STORIES:])
    ]
    pairs = [Pair(first=one, second=other) for one, other in zip(items[::2], items[1::2], strict=True)]
    rubric = load_rubric(Path("rubric.yaml"))
    started = time.perf_counter()
    judge.compare([*pairs, *(pair.swapped for pair in pairs)], rubric)
    return Row(
        name="judge_1000_pairs_vs_60_s",
        unit="s",
        value=round(time.perf_counter() - started, 2),
        peer="the limit",
        peer_value=MOST_S,
        bar=1.0,
        lower_is_better=True,
    )


def _judge(texts: list[str]) -> "HeuristicJudge":
    from tasks import stage
    from tasks.cleaning.safety import safety_policy
    from tasks.judging.heuristic import HeuristicParams, load_heuristic, train_heuristic
    from tasks.records import Record, write_records

    class Calibrate(stage.Excerpt):
        heuristics: dict[str, HeuristicParams]

    params = stage.load_params(Calibrate, "calibrate").heuristics[JUDGE]
    policy = safety_policy()
    with tempfile.TemporaryDirectory() as folder:
        stories, made = Path(folder) / "stories.parquet", Path(folder) / JUDGE
        write_records(stories, (Record(text=text, source="storybook", licence="Apache-2.0") for text in texts))
        train_heuristic(JUDGE, params, stories=stories, policy=policy, folder=made)
        return load_heuristic(made)
