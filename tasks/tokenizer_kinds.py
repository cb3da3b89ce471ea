"""The kinds of tokenizer that can be trained, all of the `tokenizers` library and all told by one word."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tasks.stage import UserError

Kind = Literal["bpe", "wordpiece", "unigram", "word", "character", "byte"]
PreTokenizer = Literal["gpt-2", "qwen2"]  # both known to llama.cpp by these names

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
END = 0  # the id that closes each document
UNKNOWN = "<|unknown|>"

GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(
    texts: Iterable[str], *, kind: Kind, vocabulary_size: int, pre_tokenizer: PreTokenizer
) -> Tokenizer:
    """Trains a tokenizer whose first ids are `SPECIAL_TOKENS`.

    bpe: byte-level byte-pair encoding (Sennrich et al., arXiv:1508.07909; bytes as in GPT-2). wordpiece:
    Schuster and Nakajima 2012. unigram: Kudo, arXiv:1804.10959. byte: the 256 bytes, whatever
    `vocabulary_size` says. word and character know only what they saw; the rest is `UNKNOWN`.
    """
    build = {
        "bpe": _bpe, "byte": _byte, "wordpiece": _wordpiece,
        "unigram": _unigram, "word": _word, "character": _character,
    }[kind]  # fmt: skip
    split = QWEN2_SPLIT if pre_tokenizer == "qwen2" else GPT2_SPLIT
    tokenizer, trainer = build(vocabulary_size, split)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer.json, its special tokens protected. Raises UserError where there is none, or it can't be read."""
    if not path.exists():
        raise UserError(f"{path}: no such file; the stages before this one make it, run `dvc repro`")
    try:
        return protect_special_tokens(Tokenizer.from_file(str(path)))
    except Exception as error:  # the library raises nothing more particular
        raise UserError(f"{path} is no tokenizer: {error}") from error


def protect_special_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """From here on "<|endoftext|>" in a text is text, never the token (the setting is not in the file)."""
    tokenizer.encode_special_tokens = True
    return tokenizer


def _specials(*more: str) -> list[AddedToken]:
    return [AddedToken(token, special=True, normalized=False) for token in (*SPECIAL_TOKENS, *more)]


def _byte_level(split: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _bpe(vocabulary_size: int, split: str) -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _byte_level(split)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=_specials(),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def _byte(vocabulary_size: int, split: str) -> tuple[Tokenizer, trainers.Trainer]:
    return _bpe(256 + len(SPECIAL_TOKENS), split)  # no room for a merge


def _wordpiece(vocabulary_size: int, split: str) -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=1_000))
    tokenizer.pre_tokenizer = _byte_level(split)
    tokenizer.decoder = decoders.Sequence([decoders.Replace(Regex("^##"), ""), decoders.ByteLevel()])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return tokenizer, trainers.WordPieceTrainer(
        vocab_size=vocabulary_size,
        special_tokens=_specials(UNKNOWN),
        initial_alphabet=alphabet,
        show_progress=False,
    )


def _unigram(vocabulary_size: int, split: str) -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = _byte_level(split)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, trainers.UnigramTrainer(
        vocab_size=vocabulary_size,
        special_tokens=_specials(),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def _whole(split: str, vocabulary_size: int) -> tuple[Tokenizer, trainers.Trainer]:
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(split), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer, trainers.WordLevelTrainer(
        vocab_size=vocabulary_size, special_tokens=_specials(UNKNOWN), show_progress=False
    )


def _word(vocabulary_size: int, split: str) -> tuple[Tokenizer, trainers.Trainer]:
    return _whole(split, vocabulary_size)


def _character(vocabulary_size: int, split: str) -> tuple[Tokenizer, trainers.Trainer]:
    return _whole(r"[\s\S]", vocabulary_size)
