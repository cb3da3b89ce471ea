"""The stage: a tokenizer, its report, and token files as the contract says."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from tasks.chat import CHAT_TEMPLATE
from tasks.records import read_rows, write_records
from tasks.stage import UserError
from tasks.tokenize import TokenizeParams, tokenize
from tasks.tokenizer_kinds import END
from tests.conftest import records, sentences, write_clean

OUT = {
    "tokenizer": Path("data/tokenizer"),
    "tokens": Path("data/tokens"),
    "comparison": Path("plots/tokenizers.csv"),
    "metrics": Path("metrics/tokenize.json"),
}


def params(**more: object) -> TokenizeParams:
    plain = {"kind": "bpe", "vocabulary_size": 500, "pre_tokenizer": "gpt-2", "compare_on_bytes": 0}
    return TokenizeParams.model_validate({**plain, **more})


def test_the_files_hold_each_document_and_its_end(clean: Path) -> None:
    write_records(clean / "train.parquet", [*records(sentences(50)), *records(["Häj <|endoftext|> då."], weight=2.5)])
    tokenize(params(), clean=clean, **OUT)
    meta = json.loads((OUT["tokens"] / "meta.json").read_text())
    assert (meta["dtype"], meta["end_id"]) == ("uint16", END)
    tokenizer = Tokenizer.from_file(str(OUT["tokenizer"] / "tokenizer.json"))
    assert meta["vocabulary_size"] == tokenizer.get_vocab_size()
    for split in ("train", "validation", "test", "written"):
        rows = list(read_rows(clean / f"{split}.parquet"))
        flat = np.fromfile(OUT["tokens"] / f"{split}.bin", dtype="<u2")
        offsets, weights, sizes = (
            np.load(OUT["tokens"] / f"{split}.{name}.npy") for name in ("offsets", "weights", "bytes")
        )
        assert (offsets.dtype, weights.dtype, sizes.dtype) == (np.int64, np.float32, np.int64)
        assert offsets[0] == 0
        assert offsets[-1] == len(flat)
        assert len(offsets) - 1 == len(weights) == len(sizes) == len(rows)
        assert meta["splits"][split] == {"documents": len(rows), "tokens": len(flat), "bytes": int(sizes.sum())}
        for at, row in enumerate(rows):
            document = flat[offsets[at] : offsets[at + 1]]
            assert document[-1] == END
            assert END not in document[:-1]  # also where the text says "<|endoftext|>"
            assert tokenizer.decode(document[:-1].tolist(), skip_special_tokens=False) == row["text"]
            assert (weights[at], sizes[at]) == (row["weight"], len(str(row["text"]).encode()))


def test_the_chat_template_lies_beside_the_tokenizer(clean: Path) -> None:
    tokenize(params(), clean=clean, **OUT)
    names = [path.name for path in sorted(OUT["tokenizer"].iterdir())]
    assert names == ["chat_template.jinja", "tokenizer.json", "tokenizer_config.json"]
    assert (OUT["tokenizer"] / "chat_template.jinja").read_text() == CHAT_TEMPLATE


def test_the_report_adds_up(clean: Path) -> None:
    tokenize(params(), clean=clean, **OUT)
    figures = json.loads(OUT["metrics"].read_text())
    texts = [str(row["text"]) for row in read_rows(clean / "validation.parquet")]
    tokens = figures["validation_tokens"] - len(texts)  # without the end tokens
    assert figures["bytes_per_token"] == pytest.approx(sum(len(text.encode()) for text in texts) / tokens, rel=1e-5)
    assert figures["tokens_per_word"] == pytest.approx(tokens / sum(len(text.split()) for text in texts), rel=1e-5)
    assert figures["round_trip_errors"] == 0
    assert 0 < figures["vocabulary_used"] <= figures["vocabulary_size"] <= 500


def test_twice_gives_the_same_bytes(clean: Path) -> None:
    tokenize(params(), clean=clean, **OUT)
    files = [path for folder in (OUT["tokenizer"], OUT["tokens"]) for path in sorted(folder.iterdir())]
    before = [path.read_bytes() for path in files]
    tokenize(params(), clean=clean, **OUT)
    assert [path.read_bytes() for path in files] == before


def test_the_kinds_are_compared(clean: Path) -> None:
    tokenize(params(compare_on_bytes=10_000), clean=clean, **OUT)
    header, *rows = [line.split(",") for line in OUT["comparison"].read_text().splitlines()]
    assert [row[0] for row in rows] == ["bpe", "wordpiece", "unigram", "word", "character", "byte"]
    by_kind = {row[0]: dict(zip(header[1:], map(float, row[1:]), strict=True)) for row in rows}
    assert by_kind["byte"]["bytes_per_token"] == 1
    assert by_kind["bpe"]["bytes_per_token"] > 1.5
    assert by_kind["bpe"]["round_trip_errors"] == by_kind["byte"]["round_trip_errors"] == 0


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_empty_split_that_is_needed_is_named(clean: Path, split: str) -> None:
    write_records(clean / f"{split}.parquet", [])
    with pytest.raises(UserError, match=f"the split '{split}' holds no document"):
        tokenize(params(), clean=clean, **OUT)


def test_without_a_hand_written_hold_out_it_goes_on(workspace: Path) -> None:
    clean = write_clean(
        workspace / "clean",
        {"train": sentences(40), "validation": sentences(5), "test": sentences(5), "written": []},
    )
    tokenize(params(), clean=clean, **OUT)
    assert json.loads((OUT["tokens"] / "meta.json").read_text())["splits"]["written"]["documents"] == 0
