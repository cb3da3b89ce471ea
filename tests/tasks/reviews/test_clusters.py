"""Near copies of prompts: one cluster, one split."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tasks.reviews.clusters import Known, place, shingles

LAKE = "Write a story about a boat that sails over the lake at night."
LAKE_TOO = "Write a story about a boat that sails over the lake at noon."
FOX = "In Swedish: The fox went into the forest and met an owl."


def known(text: str, *, split: str = "train", cluster: str = "c") -> Known:
    return Known(id=f"known {text}", text=text, cluster=cluster, split=split)  # type: ignore[arg-type]


def test_a_near_copy_joins_the_cluster_and_another_prompt_is_its_own() -> None:
    placed = place({"a": LAKE_TOO, "b": FOX}, [known(LAKE)], split="train", jaccard=0.6)
    assert placed.clusters == {"a": "c", "b": "b"}
    assert placed.refused == {}


def test_near_copies_among_the_new_ones_are_one_cluster_under_the_first() -> None:
    assert place({"a": LAKE, "b": FOX, "c": LAKE_TOO}, [], split="train", jaccard=0.6).clusters == {
        "a": "a",
        "b": "b",
        "c": "a",
    }


@pytest.mark.parametrize("split", ["holdout", "gold", "judge_calibration"])
def test_a_prompt_near_to_one_of_another_split_is_refused(split: str) -> None:
    placed = place({"a": LAKE_TOO, "b": FOX}, [known(LAKE, split=split)], split="train", jaccard=0.6)
    assert placed.clusters == {"b": "b"}
    assert placed.refused == {"a": split}


def test_one_that_is_near_to_both_splits_is_refused_too() -> None:
    both = [known(LAKE), known(LAKE_TOO, split="holdout")]
    assert place({"a": LAKE}, both, split="train", jaccard=0.6).refused == {"a": "holdout"}


def test_case_and_marks_do_not_count() -> None:
    assert place({"a": LAKE.upper().replace(".", "!")}, [known(LAKE)], split="gold", jaccard=0.99).refused


def test_a_short_text_is_one_shingle() -> None:
    assert shingles("Good night") == ["good night"]
    assert shingles("") == [""]
    assert place({"a": "Good night!", "b": "Good day"}, [], split="train", jaccard=0.5).clusters == {"a": "a", "b": "b"}


WORDS = st.lists(st.sampled_from(["fox", "lake", "owl", "sun", "hat"]), min_size=1, max_size=7)


@given(st.lists(WORDS.map(" ".join), max_size=6), st.lists(WORDS.map(" ".join), max_size=6))
def test_it_counts_as_the_definition_says(olds: list[str], news: list[str]) -> None:
    prompts = {f"new {at}": text for at, text in enumerate(news)}
    there = [
        Known(id=str(at), text=text, cluster=f"c{at}", split="train" if at % 2 else "gold")
        for at, text in enumerate(olds)
    ]
    placed = place(prompts, there, split="train", jaccard=0.5)

    def near(a: str, b: str) -> bool:
        one, other = set(shingles(a)), set(shingles(b))
        return len(one & other) >= 0.5 * len(one | other)

    foreign = {
        name for name, text in prompts.items() if any(near(text, old.text) and old.split == "gold" for old in there)
    }
    assert set(placed.refused) == foreign
    assert set(placed.clusters) == set(prompts) - foreign
