"""What words cost, by subwords and by bytes."""

import numpy as np
import pytest

from tasks.judging.heuristic.language_model import Bytes, by_words, train_language_model
from tests.tasks.judging.heuristic.small import Name, judge, params, story

TEXTS = [story(n) for n in range(30)]
NAMES: tuple[Name, ...] = ("heuristic-a", "heuristic-b")


@pytest.mark.parametrize("name", NAMES)
def test_words_and_end_add_up_to_the_document(name: Name) -> None:
    model = train_language_model(params(name).language_model, TEXTS)
    text = "The little fox  ran home.\n\nÄpple, said Tom."
    told = model.word_bits([text])[0]
    ids = model.units.cut([text])[0][0]
    assert len(told.words) == len(text.split())
    assert told.words.sum() + told.end == pytest.approx(float(model.model.bits([ids])[0]))
    assert model.text_bits([text])[0] == pytest.approx(told.words.sum())


@pytest.mark.parametrize("name", NAMES)
def test_a_strange_word_costs_more_where_it_stands(name: Name) -> None:
    model = train_language_model(params(name).language_model, TEXTS)
    good, bad = model.word_bits(["The little fox was happy.", "The little fxo was happy."])
    assert bad.words[2] > good.words[2] + 5
    assert bad.words[0] == pytest.approx(good.words[0])


def test_a_batch_costs_what_its_texts_cost_alone() -> None:
    model = judge("heuristic-b").learnt.model
    together = model.word_bits(TEXTS[:3])
    alone = [model.word_bits([text])[0] for text in TEXTS[:3]]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.words, other.words)


def test_bits_of_units_go_to_the_word_they_end_in() -> None:
    ids, places = Bytes().cut(["å b"])[0]
    assert places.tolist() == [0, 0, 1, 2]
    assert len(ids) == 4
    told = by_words("å b", places, np.array([1.0, 2.0, 4.0, 8.0, 16.0]))
    assert told.words.tolist() == [3.0, 12.0]
    assert told.end == 16.0


def test_no_text_no_words() -> None:
    model = judge("heuristic-a").learnt.model
    assert model.word_bits([]) == []
    assert len(model.word_bits([" "])[0].words) == 0
