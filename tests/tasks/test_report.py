import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import report
from tasks.workspace import lock_hash

TASKS = """# Tasks beside their baselines

| task | figure | model | best baseline | ahead by | outcome |
|---|---|---|---|---|---|
| classification | macro_f1 | finetuned 0.981 [0.970, 0.990] | tfidf 0.873 [0.850, 0.890] | 0.108 [0.1, 0.2] | wins |
| translation | chrf | finetuned 40.0 [38.0, 42.0] | phrases 45.5 [43.0, 48.0] | -5.5 [-8.0, -3.0] | **loses** |
"""
SAMPLES = """# What the models say

## finetuned, from "One"

One day [x] ran.

## base, from "One"

One day of base.

## finetuned, classification: feeling

> A long story.
>
> Name the feeling.

sad

(expected: glad)

## finetuned, translation: swedish

> The moon.

Månen.
"""


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


@pytest.fixture
def tuned(ran: Path) -> Path:
    """A run that went on to the four tasks."""
    figures = json.loads((ran / "metrics" / "evaluate.json").read_text()) | {
        "finetuned_test_bits_per_byte": 0.53, "finetuned_written_bits_per_byte": 0.95,
        "finetuned_grammar_accuracy": 0.8, "finetuned_tasks_lost": ["translation"],
        "finetuned_forgotten_test_bits_per_byte": 0.0177, "finetuned_forgotten_grammar_accuracy": 0.025,
        "base_few_shot_classification_macro_f1": 0.25, "tasks": ["classification", "translation"],
        "classification_metric": "macro_f1", "classification_model": "finetuned",
        "classification_best_baseline": "tfidf", "classification_outcome": "wins",
        "finetuned_classification_macro_f1": 0.981, "tfidf_classification_macro_f1": 0.873,
        "translation_metric": "chrf", "translation_model": "finetuned",
        "translation_best_baseline": "phrases", "translation_outcome": "loses",
        "finetuned_translation_chrf": 40.0, "phrases_translation_chrf": 45.5,
    }  # fmt: skip
    more = {"evaluate": figures, "mix": {"records_kept": 900}, "finetune": {"train_tokens": 70_000}}
    for name, values in more.items():
        (ran / "metrics" / f"{name}.json").write_text(json.dumps(values))
    (ran / "metrics" / "tasks.md").write_text(TASKS)
    (ran / "data").mkdir()
    (ran / "data" / "samples.md").write_text(SAMPLES)
    return ran


@pytest.fixture
def register(ran: Path) -> Callable[..., None]:
    """Writes what `register` leaves of the present dvc.lock."""
    (ran / "dvc.lock").write_text("stages: {}\n")

    def write(**told: object) -> None:
        values = {"name": "fledgling", "lock_hash": lock_hash(), **told}
        (ran / "var" / "registered.json").write_text(json.dumps(values))

    return write


def test_the_summary_says_what_was_made_how_good_it_is_and_where_to_look(ran: Path) -> None:
    text = report.summary()
    assert "1,100 of 1,200 records" in text
    assert "3,300,000 parameters" in text
    model, ngram = (next(line for line in text.splitlines() if name in line) for name in ("base model", "Kneser-Ney"))
    assert model.split()[-2:] == ["0.512", "0.900"]
    assert ngram.split()[-2:] == ["0.600", "1.125"]
    assert "82.5%" in text
    assert "demonstration corpus" in text
    assert "ingest 8, pretrain 100" in text
    assert "http://127.0.0.1:5000" in text
    assert "--task" not in text


def test_the_summary_tells_the_fine_tuned_model_too(tuned: Path) -> None:
    text = report.summary()
    rows = [line.split() for line in text.splitlines()]
    assert ["the", "fine-tuned", "model", "0.530", "0.950"] in rows
    assert ["classification", "macro_f1", "0.981", "0.250", "tfidf", "0.873", "wins"] in rows
    assert ["translation", "chrf", "40.0", "-", "phrases", "45.5", "loses"] in rows
    assert "900 examples; fine-tuned on 70,000 tokens" in text
    assert "80.0%" in text
    assert "forgot     beside base: +0.018 bits per byte on test; grammar -2.5 points" in text
    assert "fledgling generate --task assistant" in text
    assert "cat metrics/tasks.md" in text


def test_the_summary_shows_a_story_and_the_shortest_answer(tuned: Path) -> None:
    text = report.summary()
    assert 'A story it tells (finetuned, from "One"):\nOne day [x] ran.\n' in text
    assert "An answer it gives (finetuned, translation: swedish):\n> The moon.\nMånen.\n" in text
    assert "base." not in text
    assert "Name the feeling" not in text


def test_a_story_that_was_asked_for_stands_before_one_that_goes_on_from_an_opening(tuned: Path) -> None:
    asked = (
        "\n## finetuned, assistant: story\n\n> Tell of a hen.\n\nA hen ran.\n\nIt sang.\n\n(expected: A hen slept.)\n"
    )
    (tuned / "data" / "samples.md").write_text(SAMPLES + asked)
    text = report.summary()
    assert "A story it tells (asked: Tell of a hen.):\nA hen ran.\nIt sang.\n" in text
    assert "A hen slept" not in text
    assert "An answer it gives (finetuned, translation: swedish):" in text


def test_the_summary_is_a_screen_of_text(tuned: Path) -> None:
    story = "\n\n".join(["She went on and on and on."] * 100)
    (tuned / "data" / "samples.md").write_text(SAMPLES.replace("One day [x] ran.", story))
    lines = report.summary().splitlines()
    assert "[...]" in next(line for line in reversed(lines) if "She went" in line)
    assert len(lines) <= 60
    assert max(map(len, lines)) <= report.WIDTH


def test_the_users_own_text_is_not_called_the_demonstration_corpus(ran: Path) -> None:
    figures = {"records": 12, "records_unreadable": 0, "records_own": 2, "records_storybook_written": 10}
    (ran / "metrics" / "ingest.json").write_text(json.dumps(figures))
    assert "demonstration" not in report.summary()


def test_a_registered_version_is_shown_with_its_alias_or_the_reason(register: Callable[..., None]) -> None:
    register(version=3, alias="candidate")
    assert "fledgling version 3 (candidate)" in report.summary()
    assert "| version | 3 |" in report.model_markdown()
    register(version=4, reason="too weak")
    assert "version 4 (no alias: too weak)" in report.summary()


def test_a_version_of_another_dvc_lock_is_not_shown(register: Callable[..., None]) -> None:
    register(version=3, alias="candidate", lock_hash="0" * 64)
    assert "version 3" not in report.summary() + report.model_markdown()


def test_the_models_page_holds_its_tasks(tuned: Path) -> None:
    page = report.model_markdown()
    assert "| the fine-tuned model | 0.530 | 0.950 |" in page
    assert "| translation | chrf | 40.0 | - | phrases 45.5 | **loses** |" in page
    assert "forgot" in page


def test_the_page_of_evaluate_holds_the_whole_table(tuned: Path) -> None:
    page = report.stage_markdown("evaluate")
    assert page.index(TASKS.rstrip()) < page.index("| finetuned_tasks_lost | translation |")
    assert TASKS.rstrip() not in report.stage_markdown("pretrain")


@pytest.mark.parametrize(("stage", "page"), [("judge", "leaderboard.md"), ("calibrate", "judge_scorecard.md")])
def test_the_page_of_a_judging_stage_is_told_first(ran: Path, stage: str, page: str) -> None:
    (ran / "metrics" / page).write_text("# Who is ahead\n\n| a | b |\n\n## By axis\n\nmore\n")
    report.metrics_file(stage).write_text(json.dumps({"judge_coverage": 0.75}))
    told = report.stage_markdown(stage)
    assert told.startswith(f"# {stage}\n\n## Who is ahead\n\n| a | b |\n\n### By axis\n\nmore\n\n## Every figure\n")
    assert "| judge_coverage | 0.75 |" in told
    assert "Who is ahead" not in report.stage_markdown("pretrain")


def test_a_stages_page_holds_its_figures_and_timings(ran: Path) -> None:
    page = report.stage_markdown("pretrain")
    assert "| parameters | 3,300,000 |" in page
    assert "| val_bits_per_byte | 0.5 |" in page
    assert "| seconds | 100.4 |" in page


def test_before_the_first_run_there_is_no_error(workspace: Path) -> None:
    assert "make platform" in report.summary()
    assert report.stage_markdown("pretrain").startswith("# pretrain")
