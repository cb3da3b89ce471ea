"""The stage: what holds goes on, what does not is named with examples and writes no result."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.records import SPLITS, write_records
from tasks.stage import UserError
from tasks.validate import ValidateParams, accept, validate
from tests.conftest import records, sentences

OUT = {"result": Path("data/validated.json"), "metrics": Path("metrics/validate.json")}


def params(**more: Any) -> ValidateParams:
    plain = {
        "words": [20, 200], "odd_character_share": 0.05, "characters": "A-Za-z0-9 \\n.,;:!?'\"()-",
        "duplicate_share": 0.0, "unsafe_share": 0.2, "least_records": {"train": 100, "written": 1}, "length_drift": 0.1,
    }  # fmt: skip
    return ValidateParams.model_validate_json(json.dumps({**plain, **more}))


def run(clean: Path, **more: Any) -> dict[str, Any]:
    validate(params(**more), clean=clean, rejected=clean.parent / "rejected.parquet", **OUT)
    return dict(json.loads(OUT["metrics"].read_text()))


@pytest.fixture(autouse=True)
def parameter_file(workspace: Path) -> None:
    (workspace / "params.yaml").write_text("profile: laptop\n")


def test_good_data_goes_on_and_has_pages_that_open_offline(clean: Path) -> None:
    figures = run(clean)
    assert json.loads(OUT["result"].read_text()) == {"valid": True}
    assert figures["expectations_failed"] == 0
    assert figures["train_records"] == 160
    pages = sorted(path.name for path in Path("var/data_docs").iterdir())
    assert pages == ["index.html", *(f"{split}.html" for split in sorted(SPLITS))]
    for page in pages:
        text = Path("var/data_docs", page).read_text()
        assert "<script" not in text
        assert 'src="http' not in text
        assert "<link" not in text


def failing(clean: Path, **more: Any) -> str:
    OUT["result"].unlink(missing_ok=True)
    with pytest.raises(UserError) as caught:
        run(clean, **more)
    assert not OUT["result"].exists()
    assert "\n" not in str(caught.value)
    assert json.loads(OUT["metrics"].read_text())["expectations_failed"] >= 1
    return str(caught.value)


def test_a_failed_expectation_is_named_with_examples(clean: Path) -> None:
    [short] = records(["Much too short."])
    write_records(clean / "test.parquet", [*records(sentences(12, start=300)), short])
    said = failing(clean)
    assert said.startswith("test: expect_column_values_to_be_between(column=words, min_value=20")
    assert short.id in said
    assert "Much too short." in said
    assert "not valid" in Path("var/data_docs/index.html").read_text()


def test_each_kind_of_fault_is_found(clean: Path) -> None:
    twins = [text.upper() for text in sentences(3)]
    strange = ["\u2603" * 10 + " snow" * 25]
    write_records(clean / "train.parquet", records([*sentences(120), *twins, *strange]))
    failed = failing(clean, least_records={"train": 500}, unsafe_share=0.001)
    assert "expect_table_row_count_to_be_between(min_value=500) failed: saw 124" in failed
    page = Path("var/data_docs/train.html").read_text()
    assert "duplicate" in page
    assert json.loads(OUT["metrics"].read_text())["expectations_failed"] == 1 + 1 + 1 + len(
        SPLITS
    )  # unsafe counts in each split


def test_drift_from_the_accepted_lengths_stops_it(clean: Path) -> None:
    accept(clean)
    assert run(clean)["train_length_drift"] < 0.1
    longer = [f"{a} {b} {a}" for a, b in zip(sentences(160), sentences(160, start=200), strict=True)]
    write_records(clean / "train.parquet", records(longer))
    assert "train: expect_column_kl_divergence_to_be_less_than(column=words" in failing(clean)
    accept(clean)
    assert run(clean)["expectations_failed"] == 0


def test_another_profile_has_its_own_accepted_lengths(clean: Path) -> None:
    accept(clean)
    Path("params.yaml").write_text("profile: small-gpu\n")
    assert "train_length_drift" not in run(clean)
    assert accept(clean) == Path("accepted/small-gpu.json")


def test_accepting_before_the_first_run_is_one_line(workspace: Path) -> None:
    with pytest.raises(UserError, match="run the chain first"):
        accept()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"words": [30, 20]}, "30 is more than 20"),
        ({"least_records": {"trian": 1}}, "unknown split 'trian'; allowed: train"),
    ],
)
def test_impossible_parameters_are_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        params(**more)
