"""The stage: the same bytes however often it is run and interrupted, and one line where it cannot be."""

import csv
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoint import load_model
from model.scoring import bits_per_byte
from tasks.chat import is_taught_to_chat
from tasks.pretrain import pretrain
from tests.conftest import refused
from tests.tasks import small
from tests.tasks.small import TOKENIZER, TOKENS, pretraining

METRICS, CURVE = Path("metrics/pretrain.json"), Path("plots/pretrain.csv")
SAMPLES = Path("data/pretrain_samples.jsonl")


@pytest.fixture(autouse=True)
def made(workspace: Path) -> None:
    small.write_workspace()
    torch.set_num_threads(1)


def run(name: str = "trained", *, tokenizer: Path = TOKENIZER, **changes: Any) -> dict[str, bytes]:
    """Runs the stage; the files of its model."""
    folder = Path("models") / name
    outs = {"model": folder, "metrics": METRICS, "curve": CURVE, "samples": SAMPLES}
    pretrain(pretraining(**changes), tokens=TOKENS, tokenizer=tokenizer, **outs)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_learns_and_tells_its_figures() -> None:
    from model.documents import read_documents

    run()
    figures = json.loads(METRICS.read_text())
    assert set(figures) == {
        "parameters", "train_epochs", "train_loss", "train_steps", "train_tokens", "val_bits_per_byte",
    }  # fmt: skip
    points = list(csv.DictReader(CURVE.read_text().splitlines()))
    assert list(points[0]) == ["step", "tokens", "train_loss", "val_bits_per_byte"]
    assert float(points[-1]["val_bits_per_byte"]) < float(points[0]["val_bits_per_byte"])
    model = load_model(Path("models/trained"))
    assert figures["parameters"] == model.parameter_count()
    assert figures["val_bits_per_byte"] == pytest.approx(bits_per_byte(model, read_documents(TOKENS, "validation")))
    assert not is_taught_to_chat(Path("models/trained"))
    told = [json.loads(line) for line in SAMPLES.read_text().splitlines()]
    assert [(line["step"], line["prompt"]) for line in told] == [(int(point["step"]), "Who?") for point in points]


def test_an_interrupted_run_ends_in_the_bytes_of_an_undisturbed_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outs = (METRICS, CURVE, SAMPLES)
    undisturbed, figures = run("undisturbed"), [path.read_bytes() for path in outs]
    assert run("again") == undisturbed
    assert run("other", seed=2) != undisturbed

    with small.killed_at(8):
        run("resumed")
    assert not Path("models/resumed").exists()
    with caplog.at_level(logging.INFO):
        assert run("resumed") == undisturbed
    assert "resuming after step 8 of 12" in caplog.text
    assert [path.read_bytes() for path in outs] == figures
    assert not list(Path("var/checkpoints").rglob("*.safetensors"))


def test_the_folder_of_a_tokenizer_is_as_good_as_its_file() -> None:
    files = run("one")
    assert run("two", tokenizer=TOKENIZER.parent) == files
    assert {"chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"} <= set(files)


def test_a_shape_that_others_cannot_read_is_said(caplog: pytest.LogCaptureFixture) -> None:
    run(model={**small.SHAPE, "positions": "learned"}, budget_tokens=256, evaluations=1)
    assert "this shape cannot be exported to transformers, vLLM or llama.cpp: positions=learned" in caplog.text


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"batch_tokens": 200}, "batch_tokens=200 is not a multiple of the context of 128"),
        ({"model": {**small.SHAPE, "n_heads": 3, "n_kv_heads": 2}}, "n_heads=3"),
        ({"optimiser": {**pretraining().optimiser.model_dump(), "kind": "adamw", "adamw_lr": 1e30}}, "lower the learn"),
    ],
)
def test_parameters_that_cannot_be(changes: dict[str, Any], line: str) -> None:
    with refused(line):
        run(**changes)
    assert not Path("models/trained").exists()


@pytest.mark.parametrize(
    ("lost", "line"),
    [
        ("data/tokens", r"data/tokens/meta\.json cannot be read: No such file"),
        ("data/tokens/train.offsets.npy", "the split 'train' in data/tokens cannot be read"),
        ("data/tokenizer/tokenizer.json", r"tokenizer\.json: no such file; .* run `dvc repro`"),
    ],
)
def test_a_missing_input_is_one_line(lost: str, line: str) -> None:
    path = Path(lost)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with refused(line):
        run()
