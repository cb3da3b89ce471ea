"""A small finished chain to register: real files, a real dvc.lock, a model of some thousand parameters."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.chat import write_generation_config
from tasks.records import Record, write_records
from tasks.registry import store
from tasks.telemetry import OFF

FIGURES = {
    "base_test_bits_per_byte": 0.8,
    "base_written_bits_per_byte": 1.0,
    "base_grammar_accuracy": 0.7,
    "base_few_shot_assistant_token_f1": 0.123,
    "finetuned_test_bits_per_byte": 0.85,
    "finetuned_written_bits_per_byte": 1.1,
    "finetuned_forgotten_written_bits_per_byte": 0.1,
    "finetuned_girls_cost_bits": 0.25,
    "finetuned_girls_cost_bits_low": -0.1,
    "finetuned_girls_cost_bits_high": 0.6,
    "finetuned_assistant_answered_unanswerable": 0.375,
    "finetuned_assistant_written_token_f1": 0.4321,
    "tasks": ["assistant", "translation"],
    "assistant_metric": "token_f1",
    "assistant_model": "finetuned",
    "assistant_best_baseline": "retrieval",
    "assistant_outcome": "wins",
    "finetuned_assistant_token_f1": 0.625,
    "retrieval_assistant_token_f1": 0.5,
    "translation_metric": "chrf",
    "translation_model": "finetuned",
    "translation_best_baseline": "phrases",
    "translation_outcome": "loses",
    "finetuned_translation_chrf": 40.0,
    "phrases_translation_chrf": 45.5,
    "finetuned_tasks": 2,
    "finetuned_tasks_lost": ["translation"],
    "ngram_test_bits_per_byte": 0.9,
    "ngram_written_bits_per_byte": 1.2,
    "xz_test_bits_per_byte": 1.3,
    "xz_written_bits_per_byte": 1.8,
}

TASKS = """# Tasks beside their baselines

| task | figure | model | best baseline | ahead by | outcome |
|---|---|---|---|---|---|
| assistant | token_f1 | finetuned 0.625 [0.600, 0.650] | retrieval 0.500 [0.475, 0.525] | 0.125 [0.100, 0.150] | wins |
| translation | chrf | finetuned 40.0 [38.0, 42.0] | phrases 45.5 [43.0, 48.0] | -5.5 [-8.0, -3.0] | **loses** |

| task | by | figures (95 % intervals by bootstrap) |
|---|---|---|
| assistant | finetuned | token_f1 0.625 [0.600, 0.650]; exact_match 0.500 [0.450, 0.550] |
"""

DVC_YAML = """
stages:
  prepare:
    cmd: echo
    params: [prepare]
    outs: [data/clean]
    metrics: [metrics/prepare.json]
  pretrain:
    cmd: echo
    deps: [data/clean]
    params: [pretrain]
    outs: [models/base]
    metrics: [metrics/pretrain.json]
  finetune:
    cmd: echo
    deps: [models/base]
    outs: [models/finetuned]
    metrics: [metrics/finetune.json]
  evaluate:
    cmd: echo
    deps: [data/clean, models/base, models/finetuned]
    outs: [metrics/tasks.md]
    metrics: [metrics/evaluate.json]
"""

Chain = Callable[..., Path]


def command(folder: Path, *arguments: str, tracking_uri: str = "") -> str:
    """Runs a program in a folder; what it printed. tracking_uri: of another MLflow than the folder's own."""
    environment = {**os.environ, **OFF, "MLFLOW_TRACKING_URI": tracking_uri}  # a test before has MLflow set it
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dvc(folder: Path, *arguments: str) -> str:
    return command(folder, sys.executable, "-m", "dvc", *arguments)


def git(folder: Path, *arguments: str) -> str:
    return command(folder, "git", "-c", "user.name=tests", "-c", "user.email=tests@localhost", *arguments)


def write_json(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def write_model(folder: Path, *, seed: int = 1) -> None:
    """A model folder with a tokenizer of bytes; that of a fine-tuned model says that it was taught to chat."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from model.checkpoint import save_model
    from model.config import ModelConfig
    from model.decoder import Decoder, initialise

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
    vocabulary = {piece: at for at, piece in enumerate([*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(specials)
    folder.mkdir(parents=True, exist_ok=True)
    config = ModelConfig(
        vocabulary_size=len(vocabulary), context=32, d_model=16, n_layers=1, n_heads=2, n_kv_heads=1, d_head=8,
        d_ff=32, positions="rope", rope_theta=10_000.0, norm="rmsnorm", norm_eps=1e-6, activation="swiglu",
        qk_norm=True, tied_embeddings=True, end_id=0,
    )  # fmt: skip
    decoder = Decoder(config)
    initialise(decoder, generator=torch.Generator().manual_seed(seed))
    save_model(folder, decoder, tokenizer=None)
    tokenizer.save(str(folder / "tokenizer.json"))
    if folder.name == "finetuned":
        write_generation_config(folder)


def write_chain(folder: Path) -> None:
    """The files of a finished chain, and the dvc.lock that speaks of them."""
    for split, count in (("train", 30), ("validation", 3), ("test", 4), ("written", 5)):
        rows = [Record(text=f"{split} {n}", source="storybook-written", licence="Apache-2.0") for n in range(count)]
        write_records(folder / "data" / "clean" / f"{split}.parquet", rows)
    write_model(folder / "models" / "base")
    write_model(folder / "models" / "finetuned", seed=11)
    write_json(folder / "metrics" / "prepare.json", {"records_in": 50, "records_kept": 42})
    write_json(folder / "metrics" / "pretrain.json", {"parameters": 5_000, "train_tokens": 10, "note": "text"})
    write_json(folder / "metrics" / "finetune.json", {"parameters_trained": 4_000, "train_tokens": 7})
    write_json(folder / "metrics" / "evaluate.json", FIGURES)
    (folder / "metrics" / "tasks.md").write_text(TASKS)
    write_json(folder / "var" / "timings" / "pretrain.json", {"seconds": 2.0, "train_tokens_per_s": 5.0})
    (folder / "params.yaml").write_text("prepare: {words: [a, b]}\npretrain: {model: {d_model: 16}, seed: 1}\n")
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / ".gitignore").write_text("/data/\n/models/\n/metrics/\n/var/\n")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished chain under git and DVC, with an MLflow database without runs."""
    folder = tmp_path_factory.mktemp("template")
    write_chain(folder)
    git(folder, "init", "-q", ".")
    dvc(folder, "init", "-q")
    dvc(folder, "commit", "-q", "-f")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "a chain")
    store._make_database(folder / store.DATABASE)
    return folder


@pytest.fixture
def chain(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished chain, which is the working folder; its own database is where MLflow writes."""
    folder = tmp_path / "chain"
    shutil.copytree(template, folder)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "tests")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tests@localhost")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it; afterwards it is as it was
    monkeypatch.chdir(folder)
    return folder
