"""The stage: it learns what is preferred, the same bytes however often it is run or killed, and it stops in time."""

import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from model.checkpoint import load_model
from model.lora import load_adapter
from tasks.align import AlignParams, align
from tasks.aligning.rows import Asked, encode_answers
from tasks.chat import END_OF_TURN, is_taught_to_chat, write_generation_config
from tasks.tokenizer_kinds import load_tokenizer
from tasks.training import TrainingParams
from tests.conftest import ROOT, refused
from tests.tasks import small
from tests.tasks.small import BASE, MIXTURE, TOKENS, finetuning

METRICS, CURVE, PAIRS = Path("metrics/align.json"), Path("plots/align.csv"), Path("data/pairs")
LORA: dict[str, Any] = {"method": "lora"}
KTO: dict[str, Any] = {"loss": "kto"}
FAR = {"chosen_drop": 50.0, "kl": 50.0, "length_drift": 50.0}  # no bound is passed

Row = dict[str, Any]


def aligning(**changes: Any) -> AlignParams:
    """The section `align`, for 12 steps of two rows."""
    common = finetuning().model_dump(mode="json", include=set(TrainingParams.model_fields))
    own = {
        "loss": "dpo", "beta": 0.5, "label_smoothing": 0.0, "per_token": False, "sft_weight": 0.1,
        "kto": {"desirable_weight": 1.0, "undesirable_weight": 1.0, "pairs_too": True}, "epochs": None,
        "method": "full", "lora": {"rank": 2, "alpha": 4.0, "targets": ["q_proj", "v_proj"]},
        "replay": {"share": 0.2, "weight": 1.0, "source": "mixture"}, "bounds": FAR, "sampled_answers": 6,
        "least_pairs": 0, "micro_batch_tokens": 2 * small.CONTEXT,
    }  # fmt: skip
    common["optimiser"] |= {"kind": "adamw", "adamw_lr": 0.003}
    return AlignParams.model_validate_json(json.dumps({**common, **own, **changes}))


def pair(number: int, **changes: Any) -> Row:
    """A pair: an answer that says what was seen is preferred."""
    name, thing = ("Mina", "Ola", "Tom", "Sue")[number % 4], ("ball", "boat", "bird")[number % 3]
    return {
        "id": f"pair {number}", "prompt_id": f"prompt {number}", "cluster": f"cluster {number}", "kind": "story",
        "prompt": f"Story {number}. What did {name} see?", "chosen": f"{name} found a {thing} in the garden.",
        "rejected": "They laughed. It was late.", "weight": 1.0, "source": "judge", "origin": {"judge": "tests"},
        **changes,
    }  # fmt: skip


def thumb(number: int, **changes: Any) -> Row:
    told = pair(number)
    return {"prompt": told["prompt"], "answer": told["chosen"], "desirable": True, "weight": 1.0, **changes}


def write(name: str, rows: list[Row]) -> None:
    PAIRS.mkdir(parents=True, exist_ok=True)
    (PAIRS / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(autouse=True)
def made(workspace: Path) -> None:
    small.write_workspace()
    write_generation_config(BASE)
    write("train", [pair(number) for number in range(24)])
    write("validation", [pair(number) for number in range(100, 108)])
    write("thumbs", [thumb(200, desirable=False), thumb(201)])
    torch.set_num_threads(1)


def run(name: str = "aligned", **changes: Any) -> Path:
    """Runs the stage; the folder of its model."""
    folder = Path("models") / name
    align(
        aligning(**changes), model=BASE, pairs=PAIRS, mixture=MIXTURE, tokens=TOKENS, aligned=folder, metrics=METRICS,
        curve=CURVE,
    )  # fmt: skip
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def figures() -> dict[str, Any]:
    return dict(json.loads(METRICS.read_text()))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(40)[None])
    return found


@pytest.mark.parametrize("way", [{}, LORA, KTO], ids=["dpo", "lora", "kto"])
def test_it_learns_and_gives_the_same_bytes_in_two_runs(way: dict[str, Any]) -> None:
    first = run("first", **way)
    told, curve = METRICS.read_bytes(), CURVE.read_bytes()
    assert files(first) == files(run("second", **way))
    assert (METRICS.read_bytes(), CURVE.read_bytes()) == (told, curve)
    found = figures()
    assert found["margin"] > 0
    assert found["accuracy"] > 0.8
    assert found["kl_from_reference"] > 0
    assert not torch.equal(logits(load_model(first)), logits(load_model(BASE)))


def test_figures_and_curve_have_the_names_of_the_contract() -> None:
    folder = run()
    found = figures()
    assert {"pairs", "accuracy", "margin", "kl_from_reference", "length_ratio"} <= set(found)
    assert (found["pairs"], found["validation_pairs"], found["thumbs"], found["pairs_judge"]) == (24, 8, 0, 24)
    assert (found["stopped_by"], found["kept_step"], found["train_steps"]) == (None, 12, 12)
    rows = list(csv.DictReader(CURVE.read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == [4, 8, 12]
    assert {"val_margin", "val_accuracy", "val_kl_from_reference", "val_length_ratio", "val_distinct_2"} <= set(rows[0])
    assert is_taught_to_chat(folder)
    assert set(files(folder)) == {*files(BASE)}
    assert not list(Path("var/checkpoints").rglob("*.safetensors"))


def test_every_step_and_evaluation_is_told_by_mlflows_names() -> None:
    run()
    lines = [json.loads(line) for line in Path("var/runs/align/metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "train/loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 13))
    both = {
        "accuracy", "chosen_log_prob", "chosen_log_prob_per_token", "kl_from_reference", "margin", "rejected_log_prob",
        "rejected_log_prob_per_token", "sft_loss",
    }  # fmt: skip
    assert all({f"train/{name}" for name in both} <= set(line) for line in steps)
    assert any("train/replay_loss" in line for line in steps)
    evaluations = [line for line in lines if "val/loss" in line]
    sampled = {"val/length_ratio", "val/sampled_tokens", "val/distinct_2", "val/bits_per_byte"}
    assert all(sampled | {f"val/{name}" for name in both} <= set(line) for line in evaluations)
    assert [line["step"] for line in evaluations] == [4, 8, 12]


def test_by_lora_the_model_is_the_start_and_the_adapter() -> None:
    folder = run(**LORA)
    assert figures()["parameters_trained"] == 2 * 2 * ((16 + 16) + (16 + 8))  # layers, rank, q: 16 out, v: 8
    start = load_model(BASE)
    load_adapter(folder / "adapter", start)
    torch.testing.assert_close(logits(load_model(folder)), logits(start), rtol=0.0, atol=1e-5)


def test_the_epochs_bound_the_budget() -> None:
    run(epochs=0.5)
    found = figures()
    assert found["train_steps"] < 12
    assert found["train_epochs"] == pytest.approx(0.5, abs=0.3)


@pytest.mark.parametrize("way", [{}, LORA, KTO], ids=["dpo", "lora", "kto"])
def test_an_interrupted_run_ends_in_the_bytes_of_an_undisturbed_one(
    way: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed, told, curve = files(run("undisturbed", **way)), METRICS.read_bytes(), CURVE.read_bytes()
    with small.killed_at(8):
        run("resumed", **way)
    assert not Path("models/resumed").exists()
    with caplog.at_level(logging.INFO):
        assert files(run("resumed", **way)) == undisturbed
    assert "resuming after step 8 of 12" in caplog.text
    assert "the starting model's log-probabilities" not in caplog.text  # kept beside the checkpoints
    assert (METRICS.read_bytes(), CURVE.read_bytes()) == (told, curve)


def test_a_corrupt_reference_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    undisturbed = files(run("undisturbed"))
    with small.killed_at(8):
        run("resumed")
    path = next(Path("var/checkpoints/align").rglob("reference.safetensors"))
    path.write_bytes(path.read_bytes()[:100])
    assert files(run("resumed")) == undisturbed
    assert "reference.safetensors is corrupt" in caplog.text


def start(name: str) -> "subprocess.Popen[bytes]":
    paths = {
        "model": BASE, "pairs": PAIRS, "mixture": MIXTURE, "tokens": TOKENS, "aligned": Path("models") / name,
        "metrics": METRICS, "curve": CURVE,
    }  # fmt: skip
    options = [text for key, path in paths.items() for text in (f"--{key}", str(path))]
    command = [sys.executable, "-m", "tasks.align", *options]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)


def test_a_killed_and_resumed_process_ends_in_the_bytes_of_an_undisturbed_one() -> None:
    params = aligning(budget_tokens=150 * 2 * small.CONTEXT, evaluations=15)
    Path("params.yaml").write_text(yaml.safe_dump({"align": params.model_dump(mode="json")}))
    killed = start("killed")
    limit = time.monotonic() + 120
    while not list(Path("var/checkpoints").rglob("step-*0.safetensors")) and time.monotonic() < limit:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    assert list(Path("var/checkpoints").rglob("reference.safetensors"))
    assert start("killed").wait(timeout=200) == 0
    assert start("undisturbed").wait(timeout=200) == 0
    assert files(Path("models/killed")) == files(Path("models/undisturbed"))


def curve() -> list[dict[str, str]]:
    return list(csv.DictReader(CURVE.read_text().splitlines()))


def test_it_stops_and_keeps_the_state_before(caplog: pytest.LogCaptureFixture) -> None:
    run("free", sft_weight=0.0)
    first, second = (float(point["val_kl_from_reference"]) for point in curve()[:2])
    assert first < second
    folder = run("stopped", sft_weight=0.0, bounds={**FAR, "kl": (first + second) / 2})
    found = figures()
    assert (found["stopped_by"], found["stopped_at_step"], found["kept_step"]) == ("kl_from_reference", 8, 4)
    assert found["kl_from_reference"] == pytest.approx(first, rel=1e-3)  # of the state that is kept
    assert found["stopped_at"] == pytest.approx(second, rel=1e-3)
    assert "stopped at step 8: the model is too far from the reference" in caplog.text
    assert [int(point["step"]) for point in curve()] == [4, 8]  # the curve shows why
    with small.killed_at(8):
        run("again", sft_weight=0.0, bounds={**FAR, "kl": (first + second) / 2})
    assert files(run("again", sft_weight=0.0, bounds={**FAR, "kl": (first + second) / 2})) == files(folder)


def test_of_too_few_pairs_nothing_is_learnt(caplog: pytest.LogCaptureFixture) -> None:
    run(least_pairs=24)
    assert figures()["stopped_by"] is None
    run(least_pairs=25)
    found = figures()
    assert (found["stopped_by"], found["stopped_at"], found["kept_step"]) == ("pairs", 24, 0)
    assert found["margin"] == pytest.approx(0.0, abs=1e-4)
    assert "24 pairs and thumbs are fewer than align.least_pairs (25)" in caplog.text


@pytest.mark.parametrize("way", [{}, LORA], ids=["full", "lora"])
@pytest.mark.parametrize(
    ("bounds", "by", "changes"),
    [
        ({"kl": 1e-9}, "kl_from_reference", {}),
        (
            {"length_drift": 1e-9},
            "length_ratio",
            {"sampled_answers": 40, "sampling": {"max_tokens": 90, "temperature": 1.0}},
        ),
        ({"chosen_drop": 1e-9}, "chosen_log_prob_gain_per_token", {"sft_weight": 0.0, "swap": True}),
    ],
    ids=["kl", "length", "collapse"],
)
def test_stopped_at_the_first_evaluation_it_is_the_starting_model(
    bounds: dict[str, float], by: str, changes: dict[str, Any], way: dict[str, Any]
) -> None:
    own = dict(changes)
    if own.pop("swap", False):  # what is preferred in training is what is not in validation
        told = [pair(number) for number in range(24)]
        write("train", [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in told])
    own["sampling"] = {"prompts": ["Who?"], "max_tokens": 4, "temperature": 0.0, "top_p": 1.0} | own.get("sampling", {})
    folder = run(bounds={**FAR, **bounds}, **{**own, **way})
    found = figures()
    assert (found["stopped_by"], found["stopped_at_step"], found["kept_step"]) == (by, 4, 0)
    assert found["margin"] == pytest.approx(0.0, abs=1e-4)
    assert found["length_ratio"] == 1
    torch.testing.assert_close(logits(load_model(folder)), logits(load_model(BASE)), rtol=0, atol=0)


def test_a_plateau_does_not_go_on_after_a_stop() -> None:
    run(bounds={**FAR, "kl": 1e-9}, patience=1, min_gain=100.0, evaluations=6)
    assert figures()["stopped_at_step"] == 2


def test_thumbs_alone_or_with_pairs() -> None:
    write("thumbs", [thumb(number, desirable=number % 2 == 0) for number in range(200, 216)])
    alone = {**KTO, "kto": {"desirable_weight": 1.0, "undesirable_weight": 1.0, "pairs_too": False}}
    first = files(run("alone", **alone))
    assert figures()["thumbs"] == 16
    assert files(run("together", **KTO)) != first
    write("thumbs", [])
    with refused(r"align\.loss is kto, but there is no thumb in thumbs\.jsonl; set align\.kto\.pairs_too"):
        run(**alone)
    (PAIRS / "thumbs.jsonl").unlink()
    run(**KTO)


def test_the_end_of_an_answer_that_was_cut_is_not_taught() -> None:
    codec = load_tokenizer(BASE / "tokenizer.json")
    asked = [Asked("Who?", "Mina found", cut, "here") for cut in (False, True)]
    whole, cut = encode_answers(codec, asked, context=small.CONTEXT)
    assert whole.ids[-1] == END_OF_TURN
    assert list(whole.ids[:-1]) == list(cut.ids)
    assert whole.taught[-1]
    assert codec.decode(whole.answer) == "Mina found"
    assert codec.decode(cut.answer) == "Mina found"


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([], r"train\.jsonl: no pair in it; the stage pair makes them"),
        (
            [pair(1), pair(2, rejected=pair(2)["chosen"] + " ")],
            r"train\.jsonl:2: chosen and rejected are the same text",
        ),
        ([pair(1, chosen="word " * 300)], r"train\.jsonl:1: chosen: prompt and answer are \d+ and \d+ tokens, .* 128"),
        ([pair(1, rejected="word " * 300)], r"train\.jsonl:1: rejected: prompt and answer are"),
        ([pair(1, prompt="word " * 300)], r"train\.jsonl:1: chosen: the prompt of \d+ tokens fills the context of 128"),
        ([pair(1, weight=float("nan"))], r"train\.jsonl:1: .*: weight: Input should be a finite number"),
        ([pair(1, weight=0.0)], r"train\.jsonl:1: .*: weight: Input should be greater than 0"),
        ([pair(1, chosen="")], r"train\.jsonl:1: .*: chosen: String should have at least 1 character"),
        ([pair(1, source="hearsay")], r"train\.jsonl:1: .*: source: Input should be 'judge', 'human' or 'correction'"),
        ([{"prompt": "Who?"}], r"train\.jsonl:1: .*: weight: Field required"),
        ([pair(100)], r"validation\.jsonl:1: the pair 'pair 100' is of the cluster 'cluster 100', which is in train"),
    ],
)
def test_pairs_that_cannot_be_learnt_from(rows: list[Row], line: str) -> None:
    write("train", rows)
    with refused(line):
        run()
    assert not Path("models/aligned").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [("{", "Invalid JSON: EOF"), ("[1]", "should be an object"), ("\xff", "Invalid JSON: expected value")],
)
def test_lines_that_are_no_pairs(text: str, line: str) -> None:
    (PAIRS / "train.jsonl").write_bytes(json.dumps(pair(1)).encode() + b"\n\n" + text.encode("latin-1") + b"\n")
    with refused(rf"train\.jsonl:3: not a line of train\.jsonl as `pair` writes it: .*{line}"):
        run()


def test_a_correction_that_the_context_cannot_hold_is_left_out_and_counted() -> None:
    rows = [pair(number) for number in range(24)]
    first = files(run("first"))
    write("train", [*rows, pair(30, chosen="word " * 300, source="correction")])
    assert files(run("second")) == first
    assert (figures()["pairs"], figures()["corrections_too_long"]) == (24, 1)


def test_thumbs_that_cannot_be_learnt_from() -> None:
    write("thumbs", [thumb(1), thumb(2, desirable="yes")])
    with refused(r"thumbs\.jsonl:2: .*: desirable: Input should be a valid boolean"):
        run(**KTO)
    run()  # not read by the others


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"label_smoothing": 0.1, "loss": "ipo"}, "label_smoothing=0.1 is of the loss dpo"),
        ({"per_token": True, **KTO}, "per_token is of the losses dpo and ipo"),
        ({"batch_tokens": 200}, "batch_tokens=200 is not a multiple of the context of 128"),
        ({**LORA, "lora": {"rank": 99, "alpha": 1.0, "targets": ["q_proj"]}}, "rank=99 is above the smaller side of q"),
        (
            {"optimiser": {"adamw_lr": 1e30, "clip_norm": 1e30}},
            r"the loss is (nan|inf) at step \d+: lower the learning",
        ),
    ],
)
def test_parameters_that_cannot_be(changes: dict[str, Any], line: str) -> None:
    plain = aligning().model_dump(mode="json")
    merged = {k: {**plain[k], **v} if isinstance(v, Mapping) else v for k, v in changes.items()}
    with refused(line):
        run(**merged)


@pytest.mark.parametrize(
    ("lost", "line"),
    [
        ("data/pairs/train.jsonl", r"data/pairs/train\.jsonl: can't be read: No such file"),
        ("data/pairs/validation.jsonl", r"data/pairs/validation\.jsonl: can't be read"),
        ("data/mixture", r"data/mixture/tokens/meta\.json cannot be read: No such file"),
        ("data/tokens", r"data/tokens/meta\.json cannot be read: No such file"),
        ("models/base/model.safetensors", "models/base holds no readable model"),
        ("models/base/generation_config.json", "models/base was not taught to chat; align starts from what"),
    ],
)
def test_a_missing_input_is_one_line(lost: str, line: str) -> None:
    path = Path(lost)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with refused(line):
        run()
