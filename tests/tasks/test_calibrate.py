"""The stage on short stories: judges are made, examined, and told of in figures and on a page."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import calibrate as module
from tasks.calibrate import CalibrateParams, calibrate
from tasks.judging.endpoint import EndpointJudgeParams
from tasks.judging.heuristic import load_heuristic
from tasks.judging.verdicts import STATE, keep
from tasks.reviews.batch_file import FEEDBACK
from tasks.stage import UserError, load_params
from tests.conftest import ROOT, write_clean
from tests.tasks.judging.endpoint import small
from tests.tasks.judging.endpoint.server import serving
from tests.tasks.judging.examination import fake, test_people

OUT = {
    "judges": Path("models/judges"), "metrics": Path("metrics/judge_scorecard.json"),
    "scorecard": Path("metrics/judge_scorecard.md"),
}  # fmt: skip
LADDER = Path("data/pretrain_samples.jsonl")
HEURISTIC = {
    "reference_share": 0.3, "window_words": 4, "worst_share": 0.2, "rare_per_million": 3.0, "copied_ngram": 12,
    "most_unknown": 0.4, "axis_weights": {}, "tie_margin": 0.02, "language_model": {"kind": "byte_ngram", "order": 4},
}  # fmt: skip
SUBWORDS = {"kind": "subword_ngram", "order": 2, "vocabulary_size": 400}
ENDPOINT = {
    "name": "endpoint", "address": None, "model": "", "key_variable": "KEY", "temperature": 0.0, "max_tokens": 100,
    "body": {}, "text_characters": 1000, "repairs": 0, "rank_orders": 1, "requests_at_once": 2, "max_retries": 0,
    "timeout_s": 5.0, "budget_calls": None, "budget_tokens": None, "price_per_million_prompt_tokens": None,
    "price_per_million_reply_tokens": None,
}  # fmt: skip


def section(**changes: Any) -> dict[str, Any]:
    return {
        "heuristics": {"heuristic-a": {**HEURISTIC, "language_model": SUBWORDS}, "heuristic-b": HEURISTIC},
        "endpoint": ENDPOINT, "examination": fake.values(), **changes,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def clean(workspace: Path) -> Path:
    """Splits for the judges and for their examination, the samples of pretraining, a policy."""
    texts = [fake.story(number).text for number in range(12)]
    told = [
        f"{text} It was day {day}, and {name} slept." for day in range(9) for name in ("Bo", "Ann") for text in texts
    ]
    LADDER.parent.mkdir(parents=True)
    sample = {"prompt": "Once upon a time", "text": " the fox went wood to it hat and red she a the very tree."}
    LADDER.write_text("".join(json.dumps({"step": step, **sample}) + "\n" for step in (10, 20)))
    policy = {"allowed": [], "categories": {"harm": {"action": "reject", "words": ["stab", "gun", "blood"]}}}
    Path("params.yaml").write_text(yaml.safe_dump({"prepare": {"safety": policy}, "calibrate": section()}))
    return write_clean(Path("data/clean"), {"judge_a": told[::2], "judge_b": told[1::2], "test": texts})


def run(**changes: Any) -> dict[str, Any]:
    params = CalibrateParams.model_validate_json(json.dumps(section(**changes)))
    paths = {"rubric": ROOT / "rubric.yaml", "verdicts": Path("verdicts"), "feedback": FEEDBACK}
    calibrate(params, clean=Path("data/clean"), ladder=LADDER, **paths, **OUT)
    return dict(json.loads(OUT["metrics"].read_text()))


def test_both_judges_are_made_and_have_every_row() -> None:
    figures = run()
    for name in ("heuristic-a", "heuristic-b"):
        assert load_heuristic(OUT["judges"] / name).id.name == name
        key = name.replace("-", "_")
        assert figures[f"{key}_corruption_accuracy"] > 0.5
        assert figures[f"{key}_flipped_share"] == 0
        assert isinstance(figures[f"{key}_axes_failed"], list)
        assert figures[f"{key}_pandalm_agreement_status"] == "not_run"
        assert f"## {name}" in OUT["scorecard"].read_text()
    own = [{key[12:] for key in figures if key.startswith(f"heuristic_{name}_")} for name in "ab"]
    assert own[0] == own[1]
    assert figures["heuristic_a_reviewers_agreement_status"] == "not_run"


def test_every_judge_stands_beside_the_reviewers_of_batch_files() -> None:
    test_people.write(FEEDBACK, test_people.two_readers())
    figures = run()
    for key in ("heuristic_a", "heuristic_b"):
        assert figures[f"{key}_reviewers_human_agreement"] == 0.5
        assert figures[f"{key}_reviewers_coverage_count"] == 4
        assert f"{key}_reviewers_rating_kappa_status" in figures
    assert "| reviewers_human_agreement | 0.500 |" in OUT["scorecard"].read_text()


def test_a_row_that_was_not_run_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "load_heuristic", lambda folder: fake.FakeJudge(fake.abstaining, name=folder.name))
    caplog.set_level("INFO", logger="tasks.calibrate")
    run()
    assert "heuristic-a: corruptions not run, grammar pairs not run; axes" in caplog.text


def test_the_same_bytes_again() -> None:
    run()
    files = [path for out in OUT.values() for path in ([out] if out.is_file() else out.rglob("*")) if path.is_file()]
    once = {path: path.read_bytes() for path in files}
    run()
    assert len(once) > 4
    assert {path: path.read_bytes() for path in once} == once


def test_a_judge_behind_an_endpoint_is_examined_where_one_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened(fake.FakeJudge):
        closed = False

        def __enter__(self) -> "Opened":
            return self

        def __exit__(self, *error: object) -> None:
            self.closed = True

    judge = Opened(fake.knowing, name="endpoint")
    asked: list[EndpointJudgeParams] = []
    monkeypatch.setattr(module, "is_configured", lambda params, verdicts: asked.append(params) or True)
    monkeypatch.setattr(module, "endpoint_judge", lambda params, verdicts: judge)
    figures = run(heuristics={})
    assert figures["endpoint_corruption_accuracy"] == 1
    assert judge.closed
    assert asked[0].name == "endpoint"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"heuristics": {"heuristic-c": HEURISTIC}}, "no heuristic judge 'heuristic-c'; there are heuristic-a"),
        ({"endpoint": {**ENDPOINT, "name": "heuristic-a"}}, "'heuristic-a' is that of a heuristic judge"),
        ({"examination": fake.values(splits=["judge_b"])}, "judges learn from 'judge_b'"),
        ({"examination": fake.values(splits=[])}, "examination.splits"),
        ({"examination": fake.values(swapped=3)}, "unknown key 'calibrate.examination.swapped'"),
        ({"examination": fake.values(thresholds={**fake.THRESHOLDS, "longer_wins": 0.4})}, "longer_wins.*0.4"),
    ],
)
def test_parameters_that_cannot_be_are_named(changes: dict[str, Any], said: str) -> None:
    Path("p.yaml").write_text(yaml.safe_dump({"calibrate": section(**changes)}))
    with pytest.raises(UserError, match=said):
        load_params(CalibrateParams, "calibrate", file=Path("p.yaml"))


def _wrong_line() -> None:
    LADDER.write_text('{"step": 1}\n')


def _no_stories() -> None:
    Path("data/clean/test.parquet").unlink()


def _no_split() -> None:
    Path("data/clean/judge_b.parquet").unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_wrong_line, r"pretrain_samples\.jsonl:1: "),
        (LADDER.unlink, r"pretrain_samples\.jsonl: no such file"),
        (_no_stories, r"test\.parquet: no such file"),
        (_no_split, r"judge_b\.parquet: no such file"),
    ],
)
def test_inputs_that_are_missing_or_wrong_are_named(harm: Any, said: str) -> None:
    harm()
    with pytest.raises(UserError, match=said):
        run()
    assert not OUT["metrics"].exists()


def test_the_stage_runs_as_a_command(run_stage: Any) -> None:
    options: Iterator[Any] = (
        part
        for name, path in {
            "clean": "data/clean",
            "ladder": LADDER,
            "rubric": ROOT / "rubric.yaml",
            "verdicts": "v",
            "feedback": FEEDBACK,
            **OUT,
        }.items()
        for part in (f"--{name}", path)
    )
    done = run_stage("calibrate", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "axes that may not decide" in done.stdout
    assert json.loads(Path("var/timings/calibrate.json").read_text())["heuristic_b_examination_seconds"] > 0


@pytest.mark.server
def test_an_endpoint_is_asked_each_thing_once_and_its_scorecard_needs_no_server_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-very-secret-123")
    with serving() as server:
        address = small.section(server.address, requests_at_once=16)
        first = run(heuristics={}, endpoint=address)
        calls = len(server.asked)
        assert run(heuristics={}, endpoint=address) == first
        assert len(server.asked) == calls > 100
    keep()
    (STATE / "endpoint.jsonl").unlink()
    assert run(heuristics={}, endpoint=small.section(None)) == first
    assert first["endpoint_corruption_coverage"] == 1
    assert first["endpoint_repeat_variance"] == 0
    assert first["endpoint_attack_flagged_share"] > 0
