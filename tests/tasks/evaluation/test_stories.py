"""What is counted of told stories, and that openings come from texts no training saw."""

from pathlib import Path

import pytest

from tasks.evaluation.stories import StoryParams, ToldStory, _openings, story_figures
from tests.conftest import sentences, write_clean

PARAMS = StoryParams(count=4, opening_words=3, max_tokens=20, temperature=0.7, top_p=0.9, batch=2, memorised_ngram=13)


def told(*continuations: str, ended: bool = True) -> list[ToldStory]:
    return [ToldStory(opening="One day", continuation=text, ended=ended) for text in continuations]


def test_a_copy_of_the_training_text_is_memorised_and_the_opening_is_not_counted(clean: Path) -> None:
    copied = sentences(1)[0]
    fresh = " ".join(f"word{n}" for n in range(len(copied.split())))
    figures = story_figures(PARAMS, told(copied, fresh), clean=clean)
    assert figures["memorised_share"] == pytest.approx(0.5)
    assert figures["story_words"] == len(copied.split())


def test_the_same_story_again_is_no_diversity(clean: Path) -> None:
    same = story_figures(PARAMS, told(*["The cat sat on the mat all day."] * 3), clean=clean)
    assert same["self_bleu"] == pytest.approx(100)
    assert same["distinct_2"] == pytest.approx(1 / 3)
    assert same["ending_reached"] == 1
    mixed = [*told("The cat sat."), *told("A dog ran and ran.", ended=False)]
    assert story_figures(PARAMS, mixed, clean=clean)["ending_reached"] == 0.5


def test_openings_are_of_the_test_split_first_and_each_only_once(workspace: Path) -> None:
    clean = write_clean(
        workspace / "clean",
        {"train": ["never this one"], "written": ["A b c d", "A b c e"], "test": ["F g h i", "A b c z"]},
    )
    assert list(_openings(clean, 3)) == ["F g h", "A b c"]


def test_a_story_without_an_end_shows_it() -> None:
    assert told("and so on", ended=False)[0].as_markdown(model="base").rstrip().endswith("[...]")
    assert "[...]" not in told("The end.")[0].as_markdown(model="base")
