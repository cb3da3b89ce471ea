"""The stage on models of a few thousand parameters: its figures are those of the parts it is made of."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import evaluate as evaluate_module
from tasks.chat import write_generation_config
from tasks.evaluate import EvaluateParams, _forgetting, evaluate
from tasks.evaluation.baselines import BASELINES
from tasks.evaluation.pairs import MinimalPair
from tasks.evaluation.task_scores import HEADLINE
from tasks.records import read_rows
from tasks.tokenize import TokenizeParams, tokenize
from tests.conftest import refused
from tests.tasks import small

OUT = {
    "metrics": Path("metrics/evaluate.json"),
    "comparison": Path("plots/evaluate.csv"),
    "samples": Path("data/samples.md"),
    "task_table": Path("metrics/tasks.md"),
    "task_plot": Path("plots/tasks.csv"),
}
TOKENS, FINETUNED = Path("data/tokens"), Path("models/finetuned")
PAIRS = [
    MinimalPair(good="Tom found a red ball.", bad="Tom found an red ball.", phenomenon="article"),
    MinimalPair(good="It was fun.", bad="It were fun.", phenomenon="agreement"),
]


def params(**more: Any) -> EvaluateParams:
    plain = {
        "ngram_order": 3, "bootstrap": 200, "confidence": 0.95, "grammar_builtin_pairs": 2, "grammar_files": [],
        "grammar_file_pairs": 10, "processes": 2, "seed": 1,
        "stories": {"count": 3, "opening_words": 4, "max_tokens": 8, "temperature": 0.8, "top_p": 0.9, "batch": 2,
                    "memorised_ngram": 5},
        "tasks": {"rows": 6, "written_rows": 2, "stories": 2, "shots": 2, "story_temperature": 0.5, "batch": 8,
                  "temperature": 0.0, "top_p": 0.95,
                  "max_tokens": {"summarization": 6, "translation": 6, "assistant": 6, "story": 6}, "swapped_texts": 6,
                  "wordnet": None},
    }  # fmt: skip
    return EvaluateParams.model_validate_json(json.dumps({**plain, **more}))


@pytest.fixture
def base(clean: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder whose weights were never trained, over a byte tokenizer; beside it one that is said to chat."""
    import torch

    from model.checkpoint import save_model

    monkeypatch.setattr(evaluate_module, "builtin_pairs", lambda count, seed: PAIRS[:count])
    told = TokenizeParams(kind="bpe", vocabulary_size=300, pre_tokenizer="gpt-2", compare_on_bytes=0)
    made = {"comparison": Path("plots/t.csv"), "metrics": Path("metrics/tokenize.json")}
    tokenize(told, clean=clean, tokenizer=Path("data/tokenizer"), tokens=TOKENS, **made)
    small.write_mixture()
    torch.set_num_threads(1)
    for seed, folder in enumerate((small.BASE, FINETUNED)):
        model = small.decoder(seed=seed, vocabulary_size=300, context=64)
        save_model(folder, model, tokenizer=small.TOKENIZER)
    write_generation_config(FINETUNED)
    return small.BASE


def run(clean: Path, *models: Path, **more: Any) -> dict[str, Any]:
    evaluate(
        params(**more),
        clean=clean,
        tokens=TOKENS,
        tokenizer=small.TOKENIZER,
        mixture=small.MIXTURE,
        models=list(models),
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


def test_two_models_and_every_baseline_have_figures_on_every_task(clean: Path, base: Path) -> None:
    figures = run(clean, base, FINETUNED)
    before = [path.read_bytes() for path in OUT.values()]
    for task, baselines in BASELINES.items():
        for name in ("base", "base_few_shot", "base_zero_shot", "finetuned", *baselines):
            key = f"{name}_{task}_{HEADLINE[task]}"
            assert figures[f"{key}_low"] <= figures[key] + 1e-6
            assert figures[key] <= figures[f"{key}_high"] + 1e-6
        assert f"finetuned_{task}_written_{HEADLINE[task]}" in figures
    assert figures["finetuned_tasks"] == 4
    assert {"summarization", "translation"} <= set(
        figures["finetuned_tasks_lost"]
    )  # by weights that were never trained
    assert {"finetuned_assistant_constraints_met", "finetuned_classification_roc_auc"} <= set(figures)
    _check_forgetting(figures)
    _check_table()
    run(clean, base, FINETUNED)
    assert [path.read_bytes() for path in OUT.values()] == before


def _check_forgetting(figures: dict[str, Any]) -> None:
    for split in ("test", "written"):
        worse = figures[f"finetuned_{split}_bits_per_byte"] - figures[f"base_{split}_bits_per_byte"]
        assert figures[f"finetuned_forgotten_{split}_bits_per_byte"] == pytest.approx(worse, abs=1e-4)
    fewer = figures["base_grammar_accuracy"] - figures["finetuned_grammar_accuracy"]
    assert figures["finetuned_forgotten_grammar_accuracy"] == pytest.approx(fewer)
    assert not any(key.startswith("base_forgotten") for key in figures)


def _check_table() -> None:
    table = OUT["task_table"].read_text()
    assert table.startswith("# Tasks beside their baselines")
    assert table.count("**loses**") >= 2
    for task, baselines in BASELINES.items():
        for name in ("finetuned", "base_few_shot", "base_zero_shot", *baselines):
            assert f"| {task} | {name} |" in table
    rows = list(csv.DictReader(OUT["task_plot"].read_text().splitlines()))
    assert {(row["task"], row["by"]) for row in rows} >= {(task, "finetuned") for task in BASELINES}
    assert all(0 <= float(row["share"]) <= 1 for row in rows)
    told = OUT["samples"].read_text()
    for task in BASELINES:
        assert f"\n## finetuned, {task}: " in told
    assert "\n## finetuned, assistant: story\n\n> Write a story with the words boat" in told
    assert told.index('## finetuned, from "') < told.index('## base, from "')  # the newest model's stories first


def test_what_was_forgotten_is_what_the_first_model_was_better_at() -> None:
    figures: dict[str, Any] = {
        "base_test_bits_per_byte": 1.0, "tuned_test_bits_per_byte": 1.25, "base_grammar_accuracy": 0.9,
        "tuned_grammar_accuracy": 0.7, "other_test_bits_per_byte": 0.5,
    }  # fmt: skip
    assert _forgetting(figures, ["base", "tuned", "other"]) == pytest.approx({
        "tuned_forgotten_test_bits_per_byte": 0.25, "other_forgotten_test_bits_per_byte": -0.5,
        "tuned_forgotten_grammar_accuracy": 0.2,
    })  # fmt: skip
    assert _forgetting(figures, ["base"]) == {}


@pytest.mark.parametrize(
    ("lost", "line"),
    [
        ("data/mixture", r"data/mixture/train\.parquet: no such file; the stage mix makes it, run `dvc repro`"),
        ("data/tokens", r"data/tokens/meta\.json cannot be read"),
        ("data/clean", r"data/clean/train\.parquet: no such file"),
        ("data/tokenizer", r"data/tokenizer/tokenizer\.json: no such file"),
        ("models/base", r"models/base/tokenizer\.json: no such file"),
        ("models/base/model.safetensors", "models/base holds no readable model"),
    ],
)
def test_a_missing_input_is_one_line(
    clean: Path, base: Path, monkeypatch: pytest.MonkeyPatch, lost: str, line: str
) -> None:
    path = Path(lost)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with refused(line):
        run(Path("data/clean"), base)
    assert not any(out.exists() for out in OUT.values())


def test_a_folder_that_is_no_wordnet_is_one_line_before_anything_is_asked(clean: Path, base: Path) -> None:
    with refused(r"evaluate\.tasks\.wordnet: nowhere holds no WordNet, it has no lexnames"):
        run(clean, base, tasks={**params().tasks.model_dump(mode="json"), "wordnet": "nowhere"})
    assert not any(out.exists() for out in OUT.values())


def test_a_file_of_pairs_goes_by_its_name_and_a_missing_one_is_one_line(clean: Path, base: Path) -> None:
    Path("own.jsonl").write_text('{"good": "It was fun.", "bad": "fun It. was"}\n')
    figures = run(clean, base, grammar_files=["own.jsonl"], grammar_builtin_pairs=0)
    assert figures["ngram_grammar_own_accuracy"] == 1
    assert "ngram_grammar_accuracy" not in figures
    with refused(r"none\.jsonl: no such file"):
        run(clean, base, grammar_files=["none.jsonl"])


def test_the_openings_are_of_texts_that_were_not_trained_on(clean: Path, base: Path) -> None:
    run(clean, base)
    opening = " ".join(str(next(read_rows(clean / "test.parquet", ["text"]))["text"]).split()[:4])
    assert f'## base, from "{opening}"' in OUT["samples"].read_text()
