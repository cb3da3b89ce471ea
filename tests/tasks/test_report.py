import json
from pathlib import Path

import pytest

from tasks import report


@pytest.fixture
def ran(workspace: Path) -> Path:
    metrics = {
        "ingest": {"records": 12, "records_unreadable": 0, "records_storybook_written": 12},
        "prepare": {"records_in": 1200, "records_kept": 1100, "rejected_unsafe": 100},
        "tokenize": {"vocabulary_size": 4096, "bytes_per_token": 4.256, "round_trip_errors": 0},
        "pretrain": {"parameters": 3_300_000, "train_tokens": 600_000, "val_bits_per_byte": 0.5},
        "evaluate": {
            "base_test_bits_per_byte": 0.51234, "base_written_bits_per_byte": 0.9,
            "ngram_test_bits_per_byte": 0.6, "ngram_written_bits_per_byte": 1.125,
            "base_grammar_accuracy": 0.825,
        },
    }  # fmt: skip
    for name, figures in metrics.items():
        path = workspace / "metrics" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(figures))
    for name, seconds in (("pretrain", 100.4), ("ingest", 8.0)):
        path = workspace / "var" / "timings" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"seconds": seconds, "peak_rss_mib": 500.0}))
    return workspace


def test_the_summary_says_what_was_made_how_good_it_is_and_where_to_look(ran: Path) -> None:
    (ran / "data").mkdir()
    (ran / "data" / "samples.md").write_text(
        '# Stories\n\n## base, from "One"\n\nOne day [x] ran.\n\n## base, from "Two"\n\nTwo'
    )
    text = report.summary()
    assert "1,100 of 1,200 records" in text
    assert "3,300,000 parameters" in text
    model, ngram = (next(line for line in text.splitlines() if name in line) for name in ("base model", "Kneser-Ney"))
    assert model.split()[-2:] == ["0.512", "0.900"]
    assert ngram.split()[-2:] == ["0.600", "1.125"]
    assert "82.5%" in text
    assert "One day [x] ran." in text
    assert "demonstration corpus" in text
    assert "ingest 8, pretrain 100" in text
    assert "http://127.0.0.1:5000" in text


def test_the_users_own_text_is_not_called_the_demonstration_corpus(ran: Path) -> None:
    figures = {"records": 12, "records_unreadable": 0, "records_own": 2, "records_storybook_written": 10}
    (ran / "metrics" / "ingest.json").write_text(json.dumps(figures))
    assert "demonstration" not in report.summary()


def test_a_registered_version_is_shown_with_its_alias_or_the_reason(ran: Path) -> None:
    (ran / "var" / "registered.json").write_text(json.dumps({"name": "fledgling", "version": 3, "alias": "candidate"}))
    assert "fledgling version 3 (candidate)" in report.summary()
    assert "| version | 3 |" in report.model_markdown()
    (ran / "var" / "registered.json").write_text(json.dumps({"name": "fledgling", "version": 4, "reason": "too weak"}))
    assert "version 4 (no alias: too weak)" in report.summary()


def test_a_stages_page_holds_its_figures_and_timings(ran: Path) -> None:
    page = report.stage_markdown("pretrain")
    assert "| parameters | 3,300,000 |" in page
    assert "| val_bits_per_byte | 0.5 |" in page
    assert "| seconds | 100.4 |" in page


def test_before_the_first_run_there_is_no_error(workspace: Path) -> None:
    assert "make platform" in report.summary()
    assert report.stage_markdown("pretrain").startswith("# pretrain")
