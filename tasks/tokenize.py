"""The stage `tokenize`: a tokenizer trained on the train split, a report on it, and flat token files."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from model.documents import Document, token_dtype, write_documents
from tasks import stage
from tasks.chat import write_chat_files
from tasks.records import MODEL_SPLITS, read_rows
from tasks.stage import Params, UserError
from tasks.tokenizer_kinds import END, Kind, PreTokenizer, protect_special_tokens, train_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

BATCH_DOCUMENTS = 1_000


class TokenizeParams(Params):
    """The tokenizer of the run, and how much text the others are compared with it on."""

    kind: Kind
    vocabulary_size: int = Field(ge=260, le=1_000_000)
    pre_tokenizer: PreTokenizer
    compare_on_bytes: int = Field(ge=0)  # each kind trained and tested on so much text; 0: no comparison


def tokenize(
    params: TokenizeParams, *, clean: Path, tokenizer: Path, tokens: Path, comparison: Path, metrics: Path
) -> None:
    """Trains the tokenizer, writes every split as one flat file of ids, and reports.

    In `tokenizer`: tokenizer.json and the chat template beside it, as transformers reads them.
    In `tokens`: the token files of each split (see `model.documents`), END after each document.
    Raises UserError where a split that training needs is empty.
    """
    trained = train_tokenizer(
        _texts(clean / "train.parquet"),
        kind=params.kind,
        vocabulary_size=params.vocabulary_size,
        pre_tokenizer=params.pre_tokenizer,
    )
    tokenizer.mkdir(parents=True, exist_ok=True)
    trained.save(str(tokenizer / "tokenizer.json"))
    write_chat_files(tokenizer)
    protect_special_tokens(trained)
    started = time.monotonic()
    sizes = {split: _write_split(trained, clean / f"{split}.parquet", tokens, split) for split in MODEL_SPLITS}
    _refuse_empty(sizes)
    total_bytes = sum(size["bytes"] for size in sizes.values())
    stage.timings(mb_per_s=total_bytes / 1e6 / (time.monotonic() - started))
    vocabulary_size = trained.get_vocab_size()
    dtype = token_dtype(vocabulary_size).name
    meta = {"dtype": dtype, "vocabulary_size": vocabulary_size, "end_id": END, "splits": sizes}
    stage.write_text(tokens / "meta.json", json.dumps(meta, indent=2, sort_keys=True) + "\n")
    report = measure(trained, list(_texts(clean / "validation.parquet")))
    stage.write_metrics(metrics, {**report, **{f"{split}_tokens": size["tokens"] for split, size in sizes.items()}})
    _write_comparison(params, clean, comparison)
    log.info(
        "%s of %d ids, %.2f bytes a token, %d train tokens",
        params.kind, vocabulary_size, report["bytes_per_token"], sizes["train"]["tokens"],
    )  # fmt: skip


def measure(tokenizer: "Tokenizer", texts: list[str]) -> dict[str, float | int]:
    """How a tokenizer does on texts: vocabulary size and how much of it is used, bytes a token, tokens a
    word (white-space words), and the texts that do not come back the same."""
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    ids = [encoding.ids for encoding in encodings]
    count = max(1, sum(map(len, ids)))
    decoded = tokenizer.decode_batch(ids, skip_special_tokens=False)
    return {
        "vocabulary_size": tokenizer.get_vocab_size(),
        "vocabulary_used": len(set().union(*ids)) if ids else 0,
        "bytes_per_token": sum(len(text.encode()) for text in texts) / count,
        "tokens_per_word": count / max(1, sum(len(text.split()) for text in texts)),
        "round_trip_errors": sum(before != after for before, after in zip(texts, decoded, strict=True)),
    }


def _texts(path: Path, limit_bytes: int | None = None) -> Iterator[str]:
    read = 0
    for row in read_rows(path, ["text"]):
        text = str(row["text"])
        read += len(text.encode())
        if limit_bytes is not None and read > limit_bytes:
            return
        yield text


def _write_split(tokenizer: "Tokenizer", records: Path, folder: Path, split: str) -> dict[str, int]:
    """Writes one split's files; returns its documents, tokens (END included) and bytes of text."""
    dtype = token_dtype(tokenizer.get_vocab_size())
    return write_documents(folder, split, _documents(tokenizer, records), dtype=dtype, conversations=False)


def _documents(tokenizer: "Tokenizer", records: Path) -> Iterator[Document]:
    rows = read_rows(records, ["text", "weight"])
    while batch := list(islice(rows, BATCH_DOCUMENTS)):
        texts = [str(row["text"]) for row in batch]
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        for row, text, encoding in zip(batch, texts, encodings, strict=True):
            ids = [*encoding.ids, END]
            yield Document(ids=ids, weight=float(str(row["weight"])), size=len(text.encode()))


def _refuse_empty(sizes: Mapping[str, Mapping[str, int]]) -> None:
    empty = [split for split in ("train", "validation", "test") if not sizes[split]["documents"]]
    if empty:
        raise UserError(f"the split '{empty[0]}' holds no document; more text, or larger prepare shares, would fill it")


def _write_comparison(params: TokenizeParams, clean: Path, path: Path) -> None:
    """A table of all kinds of tokenizer, each trained on the same part of the text (CSV, for `dvc plots`)."""
    columns = ["kind", "vocabulary_size", "vocabulary_used", "bytes_per_token", "tokens_per_word", "round_trip_errors"]
    lines = [",".join(columns)]
    if params.compare_on_bytes:
        texts = list(_texts(clean / "train.parquet", params.compare_on_bytes))
        held_out = list(_texts(clean / "validation.parquet", params.compare_on_bytes // 5))
        for kind in ("bpe", "wordpiece", "unigram", "word", "character", "byte"):
            row = measure(_trained_for_comparison(params, kind, texts), held_out)
            lines.append(",".join([kind, *(f"{row[column]:.6g}" for column in columns[1:])]))
    stage.write_text(path, "\n".join(lines) + "\n")


def _trained_for_comparison(params: TokenizeParams, kind: Kind, texts: list[str]) -> "Tokenizer":
    return protect_special_tokens(
        train_tokenizer(texts, kind=kind, vocabulary_size=params.vocabulary_size, pre_tokenizer=params.pre_tokenizer)
    )


if __name__ == "__main__":
    stage.main(tokenize)
