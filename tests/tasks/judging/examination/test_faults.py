# ruff: noqa: S311 - draws faults, not secrets
"""Each generator makes the fault that it names, and nothing else."""

import re
from collections import Counter
from dataclasses import replace
from difflib import SequenceMatcher
from random import Random

import pytest

from tasks.cleaning.words import split_words
from tasks.evaluation.language import sentences
from tasks.judging.examination import faults
from tasks.judging.examination.corruptions import KINDS, Kind, _setting
from tasks.judging.examination.faults import Generator
from tests.tasks.judging.examination.fake import stories, story

STORIES = stories()
SETTING = _setting(STORIES, 2)
COUNTED = (
    faults.misspelling, faults.agreement, faults.verb_form, faults.dropped_article, faults.swapped_words,
    faults.grown_up_words,
)  # fmt: skip


def spoilt(generator: Generator, *, seed: int = 0) -> str:
    told = generator(story(), SETTING, Random(seed))
    assert told is not None
    return told


def changes(before: str, after: str) -> list[tuple[list[str], list[str]]]:
    """The words that were replaced, with those in their place."""
    first, second = before.split(), after.split()
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_opcodes()
    return [(first[a:b], second[c:d]) for tag, a, b, c, d in blocks if tag != "equal"]


@pytest.mark.parametrize("generator", COUNTED)
def test_so_many_places_change_as_were_asked_for_and_the_asked_words_stay(generator: Generator) -> None:
    wanted = 4 if generator is faults.grown_up_words else 2
    for seed in range(20):
        bad = spoilt(generator, seed=seed)
        assert story().meets_request(bad)
        changed = sum(max(len(old), len(new)) for old, new in changes(story().text, bad))
        most = 2 if generator in (faults.swapped_words, faults.grown_up_words) else 1
        assert wanted <= changed <= most * wanted + 2, changes(story().text, bad)


def test_a_misspelt_word_is_one_that_no_story_has() -> None:
    for seed in range(20):
        for old, new in changes(story().text, spoilt(faults.misspelling, seed=seed)):
            for word, wrong in zip(old, new, strict=True):
                assert abs(len(word) - len(wrong)) <= 1
                assert not set(split_words(wrong)) & SETTING.vocabulary


def test_a_misspelling_that_is_a_word_is_none() -> None:
    told = story(text="hello hello hello", words=())
    known = frozenset({"hllo", "helo", "ehllo", "hlelo", "hello", "helolo", "helllo", "heello", "heloo", "hlllo"})
    setting = replace(SETTING, vocabulary=known)
    assert all(faults.misspelling(told, setting, Random(seed)) is None for seed in range(30))
    assert faults.misspelling(told, SETTING, Random(0)) is not None


@pytest.mark.parametrize("generator", COUNTED)
def test_asked_words_are_never_touched(generator: Generator) -> None:
    text = "She said a word. He said a word. They were said to be a word. It was said. A word was said."
    told = story(text=text, words=("said", "word", "was", "were", "a"))
    assert all(generator(told, SETTING, Random(seed)) is None for seed in range(10))


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("If she was ill, she was sad. It was late. He was here.", "If she were"),
        ("There was a dog. It was big. He was glad.", "There were"),
        ("They have a cat. I have a dog. She has a cow.", "They have has"),
    ],
)
def test_agreement_leaves_alone_what_may_be_right(text: str, never: str) -> None:
    told = story(text=text, words=())
    for seed in range(20):
        bad = faults.agreement(told, SETTING, Random(seed))
        assert bad is not None
        assert bad != text
        assert never not in bad


def test_agreement_breaks_verb_and_number() -> None:
    pairs = {
        (" ".join(old), " ".join(new))
        for seed in range(40)
        for old, new in changes(story().text, spoilt(faults.agreement, seed=seed))
    }
    assert {("was", "were"), ("were", "was")} <= pairs
    assert pairs <= {("was", "were"), ("were", "was"), ("birds", "bird")}


def test_verb_forms_are_wrong_after_an_auxiliary_alone_and_without_one() -> None:
    text = "She went home. They did not go. He walked far. We cried. I need a saw."
    found = {faults.verb_form(story(text=text, words=()), SETTING, Random(seed)) for seed in range(60)}
    whole = " ".join(str(one) for one in found)
    for wrong in ("She goed", "did not went", "He walking", "We crying"):
        assert wrong in whole
    assert all("I need a saw" in str(one) for one in found)


def test_an_article_goes_and_the_capital_stays() -> None:
    told = story(text="A dog ran. The dog saw a few friends in the rain. It was an owl. What a day!", words=())
    for seed in range(20):
        bad = faults.dropped_article(told, SETTING, Random(seed))
        assert bad is not None
        assert "a few friends in the rain" in bad
        assert "What a day!" in bad
        kept = re.findall(r"\b(?:a|an|the)\b", bad, re.IGNORECASE)
        assert len(kept) == len(re.findall(r"\b(?:a|an|the)\b", told.text, re.IGNORECASE)) - 2
        assert bad[0].isupper()


def test_swapped_words_are_the_same_words() -> None:
    bad = spoilt(faults.swapped_words)
    assert Counter(split_words(bad)) == Counter(split_words(story().text))
    assert bad != story().text


def test_shuffling_moves_every_sentence_and_changes_none() -> None:
    bad, good = sentences(spoilt(faults.shuffled_sentences)), sentences(story().text)
    assert Counter(bad) == Counter(good)
    assert all(first != second for first, second in zip(bad, good, strict=True))


def test_grown_up_words_take_the_article_that_they_need() -> None:
    told = story(text="A big fox met a brave cat. He said so. They had a big hat.", words=())
    bad = faults.grown_up_words(told, SETTING, Random(0))
    assert bad is not None
    assert "A substantial" in bad
    assert "an intrepid cat" in bad
    assert "a substantial" in bad


def test_an_unsafe_sentence_is_put_between_two_and_all_else_stays() -> None:
    bad = sentences(spoilt(faults.unsafe_insertion))
    added = [sentence for sentence in bad if sentence in faults.material()["unsafe"]]
    assert len(added) == 1
    assert [sentence for sentence in bad if sentence not in added] == sentences(story().text)
    assert bad[0] not in added
    assert bad[-1] not in added


def test_a_cut_text_is_the_beginning_of_the_story_and_stops_in_a_sentence() -> None:
    bad = spoilt(faults.cut_ending)
    assert story().text.startswith(bad)
    assert bad[-1].isalpha()
    assert len(sentences(story().text)) - len(sentences(bad)) == 1


def test_repetition_tells_one_sentence_four_times_in_place_of_others() -> None:
    counts = Counter(sentences(spoilt(faults.repetition)))
    assert sorted(counts.values())[-2:] == [1, 4]
    assert sum(counts.values()) == len(sentences(story().text))


def test_off_topic_is_another_whole_story_without_the_asked_words() -> None:
    bad = spoilt(faults.off_topic)
    assert bad in {other.text for other in STORIES}
    assert not story().meets_request(bad)
    assert faults.off_topic(story(), _setting([story()], 2), Random(0)) is None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_story_with_no_place_for_a_fault_gives_none(kind: Kind) -> None:
    short = story(text="Oh no!", words=("no",))
    assert kind.generate(short, _setting([short], 2), Random(0)) is None


def test_the_same_seed_gives_the_same_text_another_one_another() -> None:
    for generator in COUNTED:
        assert spoilt(generator, seed=3) == spoilt(generator, seed=3)
        assert len({spoilt(generator, seed=seed) for seed in range(8)}) > 1


def test_what_is_put_in_holds_no_word_twice_and_fits() -> None:
    material = faults.material()
    assert len(set(material["unsafe"])) == len(material["unsafe"]) >= 20
    for plain, hard in material["grown_up"].items():
        assert plain != hard
        assert plain == plain.lower()
    for sentence in (*material["closings"], *material["openings"], *material["unsafe"]):
        assert sentences(sentence) == [sentence]
