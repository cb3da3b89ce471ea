"""What every training stage shares: where it computes, how a batch is cut, what a checkpoint belongs to, the curve."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models

from model.training import Progress, Result
from tasks import training
from tasks.tokenizer_kinds import load_tokenizer
from tests.conftest import refused
from tests.tasks import small
from tests.tasks.small import pretraining

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
AMX = "flags : fpu amx_bf16 amx_tile\n"
INTEL, AMD = "vendor_id : GenuineIntel\nflags : avx512_bf16\n", "vendor_id : AuthenticAMD\nflags : avx512_bf16\n"


@pytest.mark.parametrize(("cpuinfo", "fast"), [(AMX, True), (INTEL, False), (AMD, True), ("", False), (None, False)])
def test_which_processors_multiply_bfloat16_faster(tmp_path: Path, cpuinfo: str | None, fast: bool) -> None:
    path = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        path.write_text(cpuinfo)
    assert training.fast_bf16(path) is fast


def test_a_precision_that_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "fast_bf16", lambda path: False)
    assert training.resolve_precision(pretraining(precision="bf16"), CPU) == "bf16"
    assert training.resolve_precision(pretraining(precision="auto"), CPU) == "fp32"
    assert training.resolve_precision(pretraining(precision="auto"), CUDA) == "bf16"
    monkeypatch.setattr(training, "fast_bf16", lambda path: True)
    assert training.resolve_precision(pretraining(precision="auto"), CPU) == "bf16"


def test_a_gpu_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with refused("device is cuda, but torch sees no GPU here; allowed: auto, cpu, cuda"):
        training.resolve_device(pretraining(device="cuda"))
    assert training.resolve_device(pretraining(device="auto")) == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert training.resolve_device(pretraining(device="auto")) == CUDA
    assert training.resolve_device(pretraining(device="cpu")) == CPU


@pytest.mark.parametrize(
    ("batch", "micro", "device", "rows"),
    [
        (1_024, "auto", CPU, 2),
        (8_192, "auto", CPU, 4),
        (8_192, "auto", CUDA, 16),
        (8_192, 1_024, CPU, 2),
        (8_192, 100, CPU, 1),  # never less than a row
        (512 * 6, 2_048, CPU, 3),  # the most that divide the batch's rows
    ],
)
def test_a_batch_is_cut_into_equal_micro_batches(batch: int, micro: Any, device: torch.device, rows: int) -> None:
    params = pretraining(batch_tokens=batch, micro_batch_tokens=micro)
    assert training.micro_rows(params, 512, device) == rows


def test_steps_are_those_that_the_budget_pays_for() -> None:
    assert pretraining(budget_tokens=1_000, batch_tokens=256).steps == 4
    assert pretraining(budget_tokens=1, batch_tokens=256).steps == 1
    with refused("batch_tokens=200 is not a multiple of the context of 128"):
        training.rows_of_a_batch(pretraining(batch_tokens=200), 128)


def test_without_a_compiler_it_trains_slower_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not training.compile_layers(pretraining(compile="blocks"), small.decoder())
    assert "no C++ compiler here" in caplog.text
    caplog.clear()
    assert not training.compile_layers(pretraining(compile="auto"), small.decoder())
    assert not training.compile_layers(pretraining(compile="off"), small.decoder())
    assert not caplog.text  # so few tokens do not pay for it


def test_a_checkpoint_belongs_to_parameters_files_and_facts(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"2")

    def key(*, files: tuple[Path, ...] = (first, second), facts: tuple[str, ...] = ("fp32",), **changes: Any) -> str:
        return training.run_key(pretraining(**changes), files, facts=facts)

    assert key() == key(files=(second, first))
    others = [key(seed=2), key(facts=("bf16",)), key(files=(first,))]
    second.write_bytes(b"3")
    assert len({*others, key()}) == 4


def test_it_says_how_many_parameters_are_trained(caplog: pytest.LogCaptureFixture) -> None:
    from model.lora import LoraConfig, add_lora

    model = small.decoder()
    count = model.parameter_count()
    with caplog.at_level(logging.INFO):
        training.announce(pretraining(), model, epochs="1 epoch", precision="fp32", compiled=False)
        add_lora(model, LoraConfig(rank=2, alpha=1.0, targets=("q_proj",)), generator=torch.Generator())
        training.announce(pretraining(), model, epochs="1 epoch", precision="fp32", compiled=False)
    full, lora = caplog.messages
    assert full == f"{count:,} parameters, 12 steps of 256 tokens (1 epoch), fp32, eager, 1 thread"
    assert "(128 of them trained)" in lora


def test_the_curve_and_the_figures_of_a_run(tmp_path: Path) -> None:
    points = [
        {"step": 4.0, "tokens": 100.0, "train/loss": 3.0, "val/loss": 2.5},
        {"step": 8.0, "tokens": 200.0, "train/loss": 2.0, "val/loss": 1.5},
    ]
    result = Result(Progress(step=8, tokens=200, history=points), tokens_per_s=1.0)
    training.write_curve(tmp_path / "curve.csv", result, ["val/loss"])
    assert (tmp_path / "curve.csv").read_text() == (
        "step,tokens,train_loss,val_loss\n4,100,3.000000,2.500000\n8,200,2.000000,1.500000\n"
    )
    assert training.run_figures(result) == {"train_tokens": 200, "train_steps": 8, "train_loss": 2.0}


def test_samples_may_hold_any_line_ends(workspace: Path) -> None:
    """json leaves U+0085 and U+2028 as they are, at which `str.splitlines` cuts."""
    sampling = training.Sampling(prompts=("Once",), max_tokens=4, temperature=0.0, top_p=1.0)
    codec = Tokenizer(models.BPE())
    samples = training.Samples(sampling, name="pretrain", prompts=[[5]], codec=codec, stop=None)
    told = [{"step": step, "prompt": "Once", "text": "a\u2028b\u0085c"} for step in (1, 2, 1)]
    samples.path.parent.mkdir(parents=True)
    samples.path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in told), encoding="utf-8")
    samples.write(Path("samples.jsonl"), steps={1})
    assert [json.loads(line) for line in Path("samples.jsonl").read_text().split("\n") if line] == told[:1]


def test_no_tokenizer_and_a_broken_one_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with refused(r"tokenizer\.json: no such file; .* run `dvc repro`"):
        load_tokenizer(path)
    path.write_text('{"model": ')
    with refused(r"tokenizer\.json is no tokenizer: "):
        load_tokenizer(path)
