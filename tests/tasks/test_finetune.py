"""The stage: what it learns and from what, the same bytes however often it is run, and one line where it cannot be."""

import csv
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.batches import PackedBatches
from model.checkpoint import load_model, save_model
from model.documents import IGNORE, read_documents, task_names
from model.lora import load_adapter
from model.nf4 import quantize_base
from tasks import training
from tasks.chat import is_taught_to_chat
from tasks.finetune import FinetuneParams, chosen_tasks, conversation_batches, finetune
from tests.conftest import refused
from tests.tasks import small
from tests.tasks.small import BASE, MIXTURE, TOKENS, finetuning

METRICS, CURVE = Path("metrics/finetune.json"), Path("plots/finetune.csv")
LORA: dict[str, Any] = {"method": "lora"}
NF4: dict[str, Any] = {"method": "lora", "base_weights": "nf4"}


@pytest.fixture(autouse=True)
def made(workspace: Path) -> None:
    small.write_workspace()
    torch.set_num_threads(1)


def run(name: str = "finetuned", **changes: Any) -> Path:
    """Runs the stage; the folder of its model."""
    folder = Path("models") / name
    paths = {"base": BASE, "mixture": MIXTURE, "tokens": TOKENS, "model": folder, "metrics": METRICS, "curve": CURVE}
    finetune(finetuning(**changes), **paths)
    return folder


def batches_of(params: FinetuneParams) -> PackedBatches:
    """What the stage would learn from."""
    chosen = chosen_tasks(params, MIXTURE)
    return conversation_batches(params, MIXTURE, TOKENS, chosen=chosen, context=small.CONTEXT)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(40)[None])
    return found


@pytest.mark.parametrize("way", [{}, LORA, NF4], ids=["full", "lora", "nf4"])
def test_it_learns_and_gives_the_same_bytes_in_two_runs(way: dict[str, Any]) -> None:
    first = run("first", **way)
    figures, curve = METRICS.read_bytes(), CURVE.read_bytes()
    second = run("second", **way)
    assert files(first) == files(second)
    assert (METRICS.read_bytes(), CURVE.read_bytes()) == (figures, curve)
    points = [float(point["train_loss"]) for point in csv.DictReader(curve.decode().splitlines())]
    assert points[-1] < points[0]
    assert not torch.equal(logits(load_model(first)), logits(load_model(BASE)))
    assert ("adapter/adapter_model.safetensors" in files(first)) == bool(way)


def test_figures_and_curve_have_the_names_of_the_contract() -> None:
    folder = run()
    figures = json.loads(METRICS.read_text())
    assert set(figures) == {
        "train_tokens", "train_steps", "train_loss", "train_epochs", "parameters", "parameters_trained", "val_loss",
        "val_bits_per_byte",
    }  # fmt: skip
    assert figures["parameters_trained"] == figures["parameters"] == load_model(BASE).parameter_count()
    rows = list(csv.DictReader(CURVE.read_text().splitlines()))
    assert list(rows[0]) == ["step", "tokens", "train_loss", "val_loss", "val_bits_per_byte"]
    assert [int(row["step"]) for row in rows] == [4, 8, 12]
    assert int(rows[-1]["tokens"]) == figures["train_tokens"]
    assert is_taught_to_chat(folder)
    assert {"chat_template.jinja", "config.json", "tokenizer.json", "tokenizer_config.json"} <= set(files(folder))
    assert not is_taught_to_chat(BASE)
    told = [json.loads(line) for line in Path("var/runs/finetune/samples.jsonl").read_text().splitlines()]
    assert [line["step"] for line in told] == [4, 8, 12]


@pytest.mark.parametrize("way", [LORA, NF4], ids=["fp32", "nf4"])
def test_by_lora_the_model_is_the_base_and_the_adapter(way: dict[str, Any]) -> None:
    folder = run(**way)
    figures = json.loads(METRICS.read_text())
    layers, rank = 2, 2
    assert figures["parameters_trained"] == layers * rank * ((16 + 16) + (16 + 8))  # q: 16 out, v: 8
    base = load_model(BASE)
    assert figures["parameters"] == base.parameter_count()
    if way is NF4:
        quantize_base(base, double=True)
    load_adapter(folder / "adapter", base)
    torch.testing.assert_close(logits(load_model(folder)), logits(base), rtol=0.0, atol=1e-5)
    kept = load_model(folder).state_dict()
    changed = {name for name, tensor in load_model(BASE).state_dict().items() if not torch.equal(tensor, kept[name])}
    if way is LORA:
        assert {name.split(".")[-2] for name in changed} == {"q_proj", "v_proj"}


@pytest.mark.parametrize("way", [{}, NF4], ids=["full", "nf4"])
def test_an_interrupted_run_ends_in_the_bytes_of_an_undisturbed_one(
    way: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed, figures, curve = files(run("undisturbed", **way)), METRICS.read_bytes(), CURVE.read_bytes()
    METRICS.unlink()

    with small.killed_at(8):
        run("resumed", **way)
    assert not Path("models/resumed").exists()
    assert not METRICS.exists()
    with caplog.at_level(logging.INFO):
        assert files(run("resumed", **way)) == undisturbed
    assert "resuming after step 8 of 12" in caplog.text
    assert (METRICS.read_bytes(), CURVE.read_bytes()) == (figures, curve)
    assert not list(Path("var/checkpoints").rglob("*.safetensors"))


@pytest.mark.parametrize("changed", ["mixture/tokens/train.taught.npy", "tokens/train.bin"])
def test_other_data_is_another_run(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []
    own = training.run_key

    def noted(*args: Any, **named: Any) -> str:
        keys.append(own(*args, **named))
        return keys[-1]

    monkeypatch.setattr(training, "run_key", noted)
    run()
    path = Path("data") / changed
    path.write_bytes(path.read_bytes()[:-2] + b"\1\0")
    run()
    run(seed=2)
    assert len(set(keys)) == 3


def test_one_task_alone_by_parameter() -> None:
    wanted = read_documents(MIXTURE / "tokens", "train")
    translations = [at for at in range(len(wanted)) if wanted.tasks is not None and wanted.tasks[at] == 2]
    batches = batches_of(finetuning(tasks=["translation"], replay_share=0.0))
    taught = torch.cat([batches.batch(at).targets.flatten() for at in range(8)])
    known = {int(token) for at in translations for token in wanted.targets(at)} - {IGNORE}
    assert set(taught.tolist()) - {IGNORE} <= known
    run(tasks=["translation"], temperature=1.0)
    alone = json.loads(METRICS.read_text())["val_loss"]
    run(tasks=["translation", "assistant"], temperature=1.0)
    assert alone != json.loads(METRICS.read_text())["val_loss"]


def test_what_is_validated_is_what_is_trained() -> None:
    from model.scoring import answer_nats

    folder = run(tasks=["classification"])
    documents = read_documents(MIXTURE / "tokens", "validation")
    model = load_model(folder)
    figure = json.loads(METRICS.read_text())["val_loss"]
    assert figure == pytest.approx(answer_nats(model, documents, tasks=[0]), rel=1e-4)
    assert figure != pytest.approx(answer_nats(model, documents), rel=1e-2)


def test_the_rows_hold_the_share_of_replay_that_was_asked_for() -> None:
    def text_share(share: float) -> float:
        batches = batches_of(finetuning(replay_share=share))
        conversations = int(read_documents(MIXTURE / "tokens", "train").offsets[-1])
        documents = batches.documents
        lengths = np.diff(documents.offsets) * documents.weights
        is_text = documents.offsets[:-1] >= conversations
        return float(lengths[is_text].sum() / lengths.sum())

    assert text_share(0.0) == 0
    assert text_share(0.3) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"tasks": ["poetry"]}, r"finetune\.tasks: the mixture has no task 'poetry'; it has classification, summ"),
        ({"tasks": []}, "no conversation is of a task that is trained"),
        ({"base_weights": "nf4"}, "base_weights is nf4, but 4-bit weights cannot learn; set finetune.method to lora"),
        ({**LORA, "lora": {"rank": 99, "alpha": 1.0, "targets": ["q_proj"]}}, "rank=99 is above the smaller side of q"),
        ({**LORA, "lora": {"rank": 1, "alpha": 1.0, "targets": ["nose"]}}, "targets='nose' is unknown; allowed: q_pro"),
        ({"batch_tokens": 200}, "batch_tokens=200 is not a multiple of the context of 128"),
    ],
)
def test_parameters_that_cannot_be(changes: dict[str, Any], line: str) -> None:
    with refused(line):
        run(**changes)
    assert not Path("models/finetuned").exists()


@pytest.mark.parametrize(
    ("lost", "line"),
    [
        ("data/mixture", r"data/mixture/tokens/meta\.json cannot be read: No such file"),
        ("data/mixture/tokens/train.tasks.npy", "the documents name no tasks: they are no mixture"),
        ("data/mixture/tokens/validation.bin", r"the split 'validation' in data/mixture/tokens cannot be read"),
        ("data/tokens", r"data/tokens/meta\.json cannot be read: No such file"),
        ("models/base", r"models/base/tokenizer\.json: no such file; .*run `dvc repro`"),
        ("models/base/model.safetensors", "models/base holds no readable model"),
    ],
)
def test_a_missing_input_is_one_line(lost: str, line: str) -> None:
    path = Path(lost)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with refused(line):
        run()


@pytest.mark.parametrize(
    ("spoilt", "line"),
    [
        ("models/base/model.safetensors", "models/base holds no readable model"),
        ("models/base/config.json", "models/base holds no readable model"),
        ("models/base/tokenizer.json", r"models/base/tokenizer\.json is no tokenizer"),
        ("data/mixture/tokens/meta.json", r"meta\.json is no description of token files"),
        ("data/mixture/tokens/train.taught.npy", "the split 'train' in data/mixture/tokens cannot be read"),
    ],
)
def test_a_corrupt_input_is_one_line(spoilt: str, line: str) -> None:
    path = Path(spoilt)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with refused(line):
        run()


def test_a_mixture_of_another_tokenizer_is_one_line() -> None:
    small.write_meta(MIXTURE / "tokens", ["train", "validation"], vocabulary=5000, tasks=task_names(MIXTURE / "tokens"))
    with refused("written with a vocabulary of 5,000, models/base has one of 400"):
        run()


def test_conversations_longer_than_the_models_context_are_cut_and_trained_on(caplog: pytest.LogCaptureFixture) -> None:
    save_model(BASE, small.decoder(context=16), tokenizer=small.TOKENIZER)
    run(batch_tokens=16, micro_batch_tokens=16, budget_tokens=16 * 16, replay_share=0.0)  # many rows without a target
    assert np.isfinite(json.loads(METRICS.read_text())["val_loss"])
    assert all(torch.isfinite(tensor).all() for tensor in load_model(Path("models/finetuned")).state_dict().values())
