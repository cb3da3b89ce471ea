"""The stage on a model of a few thousand parameters: its figures are those of the parts it is made of."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import evaluate as evaluate_module
from tasks.evaluate import EvaluateParams, evaluate
from tasks.evaluation.pairs import MinimalPair
from tasks.records import read_rows
from tasks.stage import UserError
from tasks.tokenize import TokenizeParams, tokenize

OUT = {
    "metrics": Path("metrics/evaluate.json"),
    "comparison": Path("plots/evaluate.csv"),
    "samples": Path("data/samples.md"),
}
TOKENS = Path("data/tokens")
PAIRS = [
    MinimalPair(good="Tom found a red ball.", bad="Tom found an red ball.", phenomenon="article"),
    MinimalPair(good="It was fun.", bad="It were fun.", phenomenon="agreement"),
]


def params(**more: Any) -> EvaluateParams:
    plain = {
        "ngram_order": 3, "bootstrap": 200, "confidence": 0.95, "grammar_builtin_pairs": 2, "grammar_files": [],
        "grammar_file_pairs": 10, "threads": 1, "seed": 1,
        "stories": {"count": 3, "opening_words": 4, "max_tokens": 8, "temperature": 0.8, "top_p": 0.9, "batch": 2,
                    "memorised_ngram": 5},
    }  # fmt: skip
    return EvaluateParams.model_validate_json(json.dumps({**plain, **more}))


@pytest.fixture
def base(clean: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder whose weights were never trained, over a byte tokenizer."""
    import torch

    from model.checkpoint import save_model
    from model.config import ModelConfig
    from model.decoder import Decoder

    monkeypatch.setattr(evaluate_module, "builtin_pairs", lambda count, seed: PAIRS[:count])
    told = TokenizeParams(kind="bpe", vocabulary_size=300, pre_tokenizer="gpt-2", compare_on_bytes=0)
    made = {"comparison": Path("plots/t.csv"), "metrics": Path("metrics/tokenize.json")}
    tokenize(told, clean=clean, tokenizer=Path("data/tokenizer"), tokens=TOKENS, **made)
    torch.manual_seed(0)
    config = ModelConfig(
        vocabulary_size=300, context=64, d_model=16, n_layers=1, n_heads=1, n_kv_heads=1, d_head=16, d_ff=16,
        positions="rope", rope_theta=10_000.0, norm="rmsnorm", norm_eps=1e-6, activation="swiglu", qk_norm=True,
        tied_embeddings=True, end_id=0,
    )  # fmt: skip
    save_model(Path("models/base"), Decoder(config), tokenizer=Path("data/tokenizer/tokenizer.json"))
    return Path("models/base")


def run(clean: Path, base: Path, **more: Any) -> dict[str, Any]:
    evaluate(
        params(**more),
        clean=clean,
        tokens=TOKENS,
        tokenizer=Path("data/tokenizer/tokenizer.json"),
        models=[base],
        **OUT,
    )
    return dict(json.loads(OUT["metrics"].read_text()))


def test_figures_of_the_design_are_there_and_hang_together(clean: Path, base: Path) -> None:
    figures = run(clean, base)
    for name in ("base", "ngram"):
        for split in ("test", "written"):
            value = figures[f"{name}_{split}_bits_per_byte"]
            assert (
                figures[f"{name}_{split}_bits_per_byte_low"] <= value <= figures[f"{name}_{split}_bits_per_byte_high"]
            )
            meta = json.loads((TOKENS / "meta.json").read_text())["splits"][split]
            bits = np.log2(figures[f"{name}_{split}_perplexity"]) * meta["tokens"]
            assert value == pytest.approx(bits / meta["bytes"], rel=1e-4)
    assert figures["ngram_test_bits_per_byte"] < figures["base_test_bits_per_byte"]  # one learnt, the other did not
    assert figures["xz_test_bits_per_byte"] < figures["xz_unprimed_test_bits_per_byte"]
    assert figures["ngram_grammar_accuracy"] == 1
    named = ("grammar_accuracy", "grammar_article_accuracy", "distinct_2", "memorised_share")
    assert {f"base_{name}" for name in named} <= set(figures)
    rows = {
        row["name"]: float(row["bits_per_byte"]) for row in csv.DictReader(OUT["comparison"].read_text().splitlines())
    }
    assert rows["base (test)"] == pytest.approx(figures["base_test_bits_per_byte"])
    assert OUT["samples"].read_text().count("\n## base, from ") == 3


def test_twice_gives_the_same_bytes(clean: Path, base: Path) -> None:
    run(clean, base)
    before = [path.read_bytes() for path in OUT.values()]
    run(clean, base)
    assert [path.read_bytes() for path in OUT.values()] == before


def test_a_file_of_pairs_goes_by_its_name_and_a_missing_one_is_one_line(clean: Path, base: Path) -> None:
    Path("own.jsonl").write_text('{"good": "It was fun.", "bad": "fun It. was"}\n')
    figures = run(clean, base, grammar_files=["own.jsonl"], grammar_builtin_pairs=0)
    assert figures["ngram_grammar_own_accuracy"] == 1
    assert "ngram_grammar_accuracy" not in figures
    with pytest.raises(UserError, match=r"none\.jsonl: no such file"):
        run(clean, base, grammar_files=["none.jsonl"])


def test_the_openings_are_of_texts_that_were_not_trained_on(clean: Path, base: Path) -> None:
    run(clean, base)
    opening = " ".join(str(next(read_rows(clean / "test.parquet", ["text"]))["text"]).split()[:4])
    assert f'## base, from "{opening}"' in OUT["samples"].read_text()
