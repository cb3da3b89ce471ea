"""`fledgling compare` with small models and a judge of lengths: what is asked of whom, and who is told as ahead."""

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import fledgling.compare as command
from fledgling.cli import main
from fledgling.compare import compare_models
from model.checkpoint import save_model
from tasks.chat import write_generation_config
from tasks.judging import configured
from tasks.stage import UserError
from tests.conftest import ROOT
from tests.tasks import small
from tests.tasks.judging import longest
from tests.tasks.judging.test_answers import ANSWERING, KINDS

TUNED = Path("models/finetuned")


@pytest.fixture(autouse=True)
def made(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write_workspace()
    save_model(TUNED, small.decoder(seed=1), tokenizer=small.TOKENIZER)
    write_generation_config(TUNED)
    monkeypatch.setattr(configured, "configured_judge", longest.opened)
    shutil.copy(ROOT / "rubric.yaml", "rubric.yaml")
    section = {
        "judge": "heuristic-b", "prompts": {"stories": 4, "others": 2, "kinds": KINDS}, "answering": ANSWERING,
        "bootstrap": 100, "confidence": 0.95, "threads": 1, "seed": 1,
    }  # fmt: skip
    Path("params.yaml").write_text(yaml.safe_dump({"judge": section, "label": {"judge": "heuristic-a"}}))


def test_models_of_the_workspace_stand_beside_each_other() -> None:
    page = compare_models(["base", "finetuned"], report=None)
    assert page.startswith("# Leaderboard\n\nJudged by `longest@")
    rows = [line for line in page.splitlines() if line.startswith("| finetuned vs base |")]
    assert [row.split(" | ")[1] for row in rows] == ["all prompts", "story", *KINDS]


def test_a_registered_version_goes_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    @contextmanager
    def fetched(version: str | None) -> Any:
        asked.append(version)
        yield TUNED

    monkeypatch.setattr(command, "model_folder", fetched)
    page = compare_models(["finetuned", "candidate"], report=None)
    assert asked == ["candidate"]
    # the same model twice: each pair is one text
    assert "| candidate vs finetuned | all prompts | 50.0 [" in page


def test_the_whole_page_can_be_had(tmp_path: Path) -> None:
    compare_models(["base", "finetuned"], report=tmp_path / "page.html")
    assert "finetuned" in (tmp_path / "page.html").read_text()
    with pytest.raises(UserError, match="not a file that can be written"):
        compare_models(["base", "finetuned"], report=tmp_path)


def test_what_labels_does_not_compare() -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump({**params, "label": {"judge": "heuristic-b"}}))
    with pytest.raises(UserError, match=r"judge.judge and label.judge are both 'heuristic-b'"):
        compare_models(["base", "finetuned"], report=None)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["base"], "takes two models or more, got 1"),
        (["base", "base"], "'base' is named twice"),
        (["base", "aligned"], "models/aligned holds no model"),
        (["base", "7"], "there is no registry yet"),
    ],
)
def test_a_mistake_is_one_line(
    names: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(sys, "argv", ["fledgling", "compare", *names])
    with pytest.raises(SystemExit) as ended:
        main()
    assert str(ended.value).startswith("fledgling: ")
    assert said in str(ended.value)
    assert len(str(ended.value).splitlines()) == 1
