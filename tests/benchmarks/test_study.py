"""The study's own parts: a mixture cut to some examples, a section changed by key, the page rendered from the JSON."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from benchmarks.finetuning.methods import rows_of
from benchmarks.finetuning.mixture import cut_mixture
from benchmarks.finetuning.plan import Workspace, open_workspace
from benchmarks.finetuning.report import markdown, svg, who_wins
from benchmarks.finetuning.runs import changed, finetuned
from model.documents import read_documents, task_names
from tasks.records import read_rows
from tasks.stage import UserError
from tests.conftest import ROOT
from tests.tasks import small


@pytest.fixture
def mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    small.write_workspace()
    return small.MIXTURE


def test_cut_mixture_holds_the_examples_of_one_task_in_table_and_tokens(mixture: Path, tmp_path: Path) -> None:
    assert cut_mixture(mixture, tmp_path / "cut", task="classification", examples=5) == 5
    rows = list(read_rows(tmp_path / "cut" / "train.parquet"))
    assert [row["task"] for row in rows] == ["classification"] * 5
    whole, documents = read_documents(mixture / "tokens", "train"), read_documents(tmp_path / "cut" / "tokens", "train")
    places = [at for at, row in enumerate(read_rows(mixture / "train.parquet")) if row in rows]
    for at, place in enumerate(places):  # the same conversations, with the same targets
        assert documents.document(at).tolist() == whole.document(place).tolist()
        assert documents.targets(at).tolist() == whole.targets(place).tolist()
    assert documents.tasks is not None
    assert set(documents.tasks.tolist()) == {task_names(mixture / "tokens").index("classification")}


def test_cut_mixture_leaves_what_is_not_trained_on(mixture: Path, tmp_path: Path) -> None:
    cut_mixture(mixture, tmp_path / "cut", task="translation", examples=3)
    tokens = (f"tokens/validation.{name}" for name in ("bin", "taught.npy"))
    for path in ("tasks.json", "test.parquet", "validation.parquet", *tokens):
        assert (tmp_path / "cut" / path).read_bytes() == (mixture / path).read_bytes()


def test_a_smaller_cut_is_part_of_a_larger_one_and_is_drawn_alike_again(mixture: Path, tmp_path: Path) -> None:
    cut = {}
    for name, examples in (("four", 4), ("again", 4), ("nine", 9), ("all", None)):
        cut_mixture(mixture, tmp_path / name, task="classification", examples=examples)
        cut[name] = {row["id"] for row in read_rows(tmp_path / name / "train.parquet")}
    assert cut["four"] == cut["again"]
    assert cut["four"] < cut["nine"] < cut["all"]
    assert len(cut["all"]) == small.COUNTS["train"]


def test_more_examples_than_there_are_is_one_line(mixture: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds 24 training examples of task 'classification', 25 are needed"):
        cut_mixture(mixture, tmp_path / "cut", task="classification", examples=25)
    assert not (tmp_path / "cut").exists()


def test_a_workspace_without_a_chain_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: no such file; run `make pipeline` first"):
        open_workspace(tmp_path)


def test_a_section_changes_key_by_key() -> None:
    section = {"method": "full", "optimiser": {"kind": "muon", "adamw_lr": 0.1}}
    found = changed(section, {"method": "lora", "optimiser": {"kind": "adamw"}})
    assert found == {"method": "lora", "optimiser": {"kind": "adamw", "adamw_lr": 0.1}}
    assert section["optimiser"] == {"kind": "muon", "adamw_lr": 0.1}


def score(value: float, spread: float = 0.1) -> dict[str, float]:
    return {"value": value, "low": value - spread, "high": value + spread}


def point(examples: int, model: float, baseline: float) -> dict[str, Any]:
    return {
        "task": "classification", "examples": examples, "steps": 10, "epochs": 1.5, "metric": "macro_f1", "rows": 40,
        "scores": {"model": score(model), "tfidf": score(baseline)}, "best_baseline": "tfidf",
        "ahead": score(model - baseline),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ((0.2, 0.3, 0.9), "ahead from 900 examples on; on 300, the baseline (tfidf)"),
        ((0.5, 0.5, 0.9), "ahead from 900 examples on; on 300, nobody beyond chance"),
        ((0.8, 0.9, 0.9), "The fine-tuned model is ahead at every size, 100 examples and up"),
        ((0.9, 0.2, 0.1), "The best baseline (tfidf) is ahead from 300 examples on; on 100, the model"),
        ((0.1, 0.2, 0.5), "Nobody is ahead beyond chance on 900 examples"),
    ],
)
def test_who_wins_from_where_on(models: tuple[float, ...], expected: str) -> None:
    points = [point(examples, model, 0.5) for examples, model in zip((100, 300, 900), models, strict=True)]
    assert expected in who_wins(points)


def method(name: str, trained: int, memory: float) -> dict[str, Any]:
    return {
        "name": name, "parameters": 1000, "parameters_trained": trained, "share_trained": trained / 1000,
        "rate": 0.01, "optimiser": "adamw", "steps": 10, "seconds": 1.0, "peak_rss_mib": memory,
        "peak_rss_mib_wide": 2 * memory, "tokens_per_s": 5000.0, "forgotten_bits_per_byte": 0.02,
        "tasks": {
            "classification": {"metric": "macro_f1", **score(0.5)}, "translation": {"metric": "chrf", **score(61, 2)},
        },
        "rates_tried": None if name == "full" else {"0.01": 1.5, "0.03": 1.25},
    }  # fmt: skip


STUDY: dict[str, Any] = {
    "machine": "here", "date": "2026-01-01", "share": 1.0, "threads": 2, "base_bits_per_byte": 1.1,
    "wide": {"d_model": 512},
    "methods": [method("full", 1000, 400.0), method("lora", 20, 300.0)],
    "baselines": {"tfidf": {"classification": {"metric": "macro_f1", **score(0.7)}}},
    "curve": [point(300, 0.9, 0.5), point(100, 0.5, 0.5)],
}  # fmt: skip


def test_the_page_says_what_the_study_found() -> None:
    page = markdown(STUDY)
    assert "| LoRA | 20 (2.00%) | 0.01 (adamw) | 10 | 5,000 | 300 MiB | +0.020 | 0.500 [0.400, 0.600] | 61.0 [" in page
    assert "| tfidf | | | | | | | 0.700 [0.600, 0.800] | - |" in page
    assert "LoRA: AdamW's rate by validation loss of a short run (0.01: 1.500, 0.03: 1.250 nats a token)" in page
    assert page.index("| 100 | 10 |") < page.index("| 300 | 10 |")


def test_a_page_of_one_part_is_a_page() -> None:
    assert "Learning curve" not in markdown({key: value for key, value in STUDY.items() if key != "curve"})
    assert "Ways to fine-tune" not in markdown(
        {key: STUDY[key] for key in ("machine", "date", "share", "threads", "curve")}
    )


def test_lora_reaches_its_bars_by_parameters_and_memory() -> None:
    found = {row["name"]: (row["ratio"], row["reached"]) for row in rows_of(STUDY["methods"])}
    assert found == {
        "lora_parameters_trained": (50.0, True),
        "lora_peak_memory": (1.333, True),
        "lora_peak_memory_wide": (1.333, True),
    }


def test_the_picture_is_xml_with_a_line_for_everybody() -> None:
    root = ElementTree.fromstring(svg(STUDY["curve"]))  # noqa: S314
    texts = {element.text for element in root.iter() if element.text and element.text.strip()}
    assert {"classification: macro_f1", "fine-tuned", "tfidf", "100", "300"} <= texts


@pytest.fixture
def study(mixture: Path) -> Workspace:
    """A workspace with params.yaml; the code of the project stands where a process of the study looks for it."""
    for name in ("benchmarks", "model", "tasks"):
        Path(name).symlink_to(ROOT / name)
    params = {"finetune": small.finetuning(budget_tokens=512, evaluations=1).model_dump(mode="json")}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    return open_workspace(Path())


def test_a_run_is_measured_and_not_made_again(study: Workspace) -> None:
    run = finetuned("full", study.section("finetune"), study)
    assert run.figures["train_steps"] == 2
    assert run.timings["peak_rss_mib"] > 50
    assert run.tokens_per_s > 0
    made = (run.model / "model.safetensors").stat().st_mtime_ns
    again = finetuned("full", study.section("finetune"), study)
    assert again == run
    assert (again.model / "model.safetensors").stat().st_mtime_ns == made


def test_a_run_that_fails_says_so_in_one_line(study: Workspace) -> None:
    section = changed(study.section("finetune"), {"base_weights": "nf4"})
    with pytest.raises(
        UserError, match=r"nf4 failed \(1\): finetune: finetune\.base_weights is nf4, but 4-bit weights"
    ):
        finetuned("nf4", section, study)
