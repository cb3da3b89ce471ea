"""The kinds of tokenizer: what comes back the same, and what a special token in a text is."""

from functools import cache
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tasks.tokenizer_kinds import END, SPECIAL_TOKENS, Kind, PreTokenizer, protect_special_tokens, train_tokenizer
from tests.conftest import sentences

KINDS: tuple[Kind, ...] = get_args(Kind)
BYTE_LEVEL: tuple[Kind, ...] = ("bpe", "byte", "unigram")
SPLITS: tuple[PreTokenizer, ...] = get_args(PreTokenizer)


@cache
def trained(kind: Kind, pre_tokenizer: PreTokenizer = "gpt-2") -> Tokenizer:
    made = train_tokenizer(sentences(120), kind=kind, vocabulary_size=600, pre_tokenizer=pre_tokenizer)
    return protect_special_tokens(made)


def there_and_back(tokenizer: Tokenizer, text: str) -> str:
    return str(tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False))


@pytest.mark.parametrize("pre_tokenizer", SPLITS)
@pytest.mark.parametrize("kind", BYTE_LEVEL)
@settings(max_examples=60, deadline=None)
@given(text=st.text())
@example("")
@example(" \n\t  two  spaces \r\n")
@example("Häj \U0001f600 \u200d\u0301 日本 ﷽ \x00")
@example("<|endoftext|>")
@example("##a ## it's 'S 123")
def test_byte_level_kinds_bring_any_text_back(kind: Kind, pre_tokenizer: PreTokenizer, text: str) -> None:
    assert there_and_back(trained(kind, pre_tokenizer), text) == text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_brings_back_what_it_saw(kind: Kind) -> None:
    for text in sentences(120)[:20]:
        assert there_and_back(trained(kind), text) == text


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_ids_are_the_special_tokens(kind: Kind) -> None:
    tokenizer = trained(kind)
    assert [tokenizer.id_to_token(at) for at in range(4)] == list(SPECIAL_TOKENS)
    assert SPECIAL_TOKENS[END] == "<|endoftext|>"


@pytest.mark.parametrize("kind", KINDS)
def test_a_special_token_in_a_text_is_text(kind: Kind) -> None:
    ids = trained(kind).encode("a <|endoftext|> b<|im_start|>", add_special_tokens=False).ids
    assert not set(ids) & set(range(len(SPECIAL_TOKENS)))


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram", "word"])
def test_the_vocabulary_keeps_to_its_size(kind: Kind) -> None:
    assert trained(kind).get_vocab_size() <= 600


def test_bytes_are_bytes() -> None:
    tokenizer = trained("byte")
    assert tokenizer.get_vocab_size() == 256 + len(SPECIAL_TOKENS)
    text = "Häj \U0001f600"
    assert len(tokenizer.encode(text, add_special_tokens=False).ids) == len(text.encode())


def test_characters_are_characters() -> None:
    text = sentences(1)[0]
    assert len(trained("character").encode(text, add_special_tokens=False).ids) == len(text)


def test_training_twice_gives_the_same_file() -> None:
    one, two = (train_tokenizer(sentences(60), kind="bpe", vocabulary_size=400, pre_tokenizer="gpt-2") for _ in "ab")
    assert one.to_str() == two.to_str()


def test_a_trained_token_is_longer_than_a_byte() -> None:
    text = sentences(1)[0]
    assert len(trained("bpe").encode(text, add_special_tokens=False).ids) < len(text) / 2
