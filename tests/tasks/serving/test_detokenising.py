"""Text token by token is the tokenizer's own text, for every kind of tokenizer and any tokens."""

from functools import cache
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders

from tasks.serving.detokenising import Spelling
from tasks.stage import UserError
from tasks.tokenizer_kinds import Kind, protect_special_tokens, train_tokenizer
from tests.conftest import sentences

KINDS = get_args(Kind)
TEXTS = ["Über Ångström, naïve café 🦆👩‍👩‍👧", "日本語のテキスト", "a\n\n  b\t\u200d🏴󠁧󠁢󠁥󠁮󠁧󠁿", "<|im_end|> is text"]


@cache
def trained(kind: Kind) -> Tokenizer:
    made = train_tokenizer([*sentences(30), *TEXTS], kind=kind, vocabulary_size=500, pre_tokenizer="gpt-2")
    return protect_special_tokens(made)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(data=st.data())
def test_any_tokens_give_the_tokenizers_text(kind: Kind, data: st.DataObject) -> None:
    codec = trained(kind)
    ids = data.draw(st.lists(st.integers(0, codec.get_vocab_size() - 1), max_size=30))
    spelling = Spelling(codec)
    text = spelling.begin()
    pieces = [text.add(token) for token in ids]
    assert "".join(pieces) + text.end() == spelling.whole(ids) == codec.decode(ids)


@pytest.mark.parametrize("text", TEXTS)
def test_no_half_of_a_character_leaves(text: str) -> None:
    codec = trained("byte")
    coming = Spelling(codec).begin()
    pieces = [coming.add(token) for token in codec.encode(text, add_special_tokens=False).ids]
    assert "".join(pieces) == text
    assert coming.end() == ""
    assert "\ufffd" not in "".join(pieces)


def test_a_token_that_the_tokenizer_has_not_is_nothing() -> None:
    assert Spelling(trained("bpe")).whole([10**6]) == ""


def test_a_decoder_that_looks_beside_a_token_is_refused() -> None:
    codec = Tokenizer.from_str(trained("bpe").to_str())
    codec.decoder = decoders.Metaspace()
    with pytest.raises(UserError, match="Metaspace, which the server can't read; allowed: ByteLevel"):
        Spelling(codec)
