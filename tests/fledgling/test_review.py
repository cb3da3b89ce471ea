"""`fledgling review`: what an owner types, on a small chain's outputs and a real database."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from fledgling.cli import main
from tasks.reviews.batch_file import read_folder
from tasks.reviews.database import open_database
from tasks.reviews.tables import Item
from tests.conftest import ROOT
from tests.tasks.reviews.outputs import write_outputs
from tests.tasks.reviews.test_label_studio import annotated

SECTION = {
    "batch_items": 6,
    "kinds": {"choice": 0.5, "ranking": 0.0, "rating": 0.5, "correction": 0.0},
    "double_share": 0.0,
    "gold_share": 0.2,
}


@pytest.fixture(autouse=True)
def project(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a chain left and the parameters of a small batch."""
    for name in (
        "FLEDGLING_REVIEW_DATABASE",
        "FLEDGLING_REVIEW_SECRET",
        "FLEDGLING_REVIEW_HOSTS",
        "MLFLOW_TRACKING_URI",
    ):
        monkeypatch.delenv(name, raising=False)
    write_outputs(workspace / "data")
    shutil.copy(ROOT / "rubric.yaml", "rubric.yaml")
    section = yaml.safe_load((ROOT / "params.yaml").read_text())["review"] | SECTION
    Path("params.yaml").write_text(yaml.safe_dump({"review": section}))
    return workspace


@pytest.fixture
def review(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Review":
    return Review(monkeypatch, capsys)


class Review:
    """Runs the command as it is typed; `line` is the one line of a mistake, else what was printed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> str:
        self._monkeypatch.setattr(sys, "argv", ["fledgling", "review", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr().out
        if ended.value.code in (0, None):
            return printed.strip()
        assert "\n" not in str(ended.value.code)
        return str(ended.value.code)


def test_a_batch_goes_out_and_comes_back_through_label_studio(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.registry.feedback.mirror", lambda database, now: 12)
    assert review("publish", "--name", "week").startswith(
        "week: 3 choice, 3 rating; 0 for two people, 2 gold; 6 answers"
    )
    told = review("export", "week")
    assert "label-studio/week.choice.json: 3 tasks" in told
    assert Path("label-studio/choice.xml").exists()
    tasks = [task for path in Path("label-studio").glob("week.*.json") for task in json.loads(path.read_text())]
    scores = {"story": ("age_appropriateness", "grammar", "choice_of_story", "creativity")}
    done = annotated(tasks)
    for task in done:
        if task["data"]["kind"] == "rating":
            axes = scores.get(task["data"]["task"], ("quality", "coherence", "factual_accuracy", "helpfulness"))
            task["annotations"][0]["result"] = [{"from_name": axis, "value": {"rating": 4}} for axis in axes]
    Path("done.json").write_text(json.dumps(done))
    assert review("import", "done.json") == "6 answers kept"
    lines = review("collect").splitlines()
    assert lines[0].startswith(
        "data/feedback/week.jsonl: 6 decisions of 1 reviewers; not in DVC: this folder is not under"
    )
    assert lines[1:] == [
        "MLflow: 12 assessments sent",
        "now: git add data/feedback, commit, and `dvc push` where there is a remote",
    ]
    assert len(read_folder()) == 6


def test_people_are_invited_and_shown_out(review: Review) -> None:
    link = review("invite", "Ada", "--owner")
    assert link.startswith("http://127.0.0.1:8100/join?token=")
    review("invite", "Bo")
    assert review("invite", "Ada").startswith("http://127.0.0.1:8100/join?token=")
    assert "Bo (reader-" in review("revoke", "Bo")
    ada, bo = review("reviewers").splitlines()
    assert ada.startswith("Ada: reader-")
    assert ada.endswith(", owner, 0 answers")
    assert bo.endswith(", reviewer, 0 answers, revoked")
    review("invite", "Bo")
    assert review("reviewers").splitlines()[1].endswith(", reviewer, 0 answers")
    review("invite", "a script", "--simulated")
    assert review("reviewers").splitlines()[2].startswith("a script: simulated-")


def test_an_item_is_made_gold(review: Review) -> None:
    review("publish", "--name", "week")
    with open_database() as database, database.reading() as session:
        choice = session.query(Item).filter(Item.kind == "choice", Item.gold.is_(None)).first()
        assert choice is not None
        second = choice.shown[1].generation_id
    assert review("gold", choice.id, "2") == f"{choice.id} is a gold item"
    with open_database() as database, database.reading() as session:
        assert session.get_one(Item, choice.id).gold == {"winner": second}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["publish", "--name", "No Name"], "fledgling: 'No Name' is no name of a batch"),
        (["publish", "--source", "x"], "fledgling: source 'x' is unknown; allowed: labelled, judged, gated"),
        (["collect", "--early"], "fledgling: --early needs --batch"),
        (["collect", "--batch", "nope"], "fledgling: there is no batch 'nope'"),
        (["export", "nope"], "fledgling: there is no batch 'nope'"),
        (["import", "nope.json"], "fledgling: nope.json: can't be read"),
        (["gold", "nope/1", "1"], "fledgling: there is no item 'nope/1'"),
        (["revoke", "Nobody"], "fledgling: there is no reviewer 'Nobody'"),
        (["invite", " "], "fledgling: a reviewer's name has 1 to 80 characters"),
        (["--host", "0.0.0.0"], "fledgling: "),  # noqa: S104 - it is refused
    ],
)
def test_a_mistake_is_one_line(review: Review, arguments: list[str], told: str) -> None:
    assert review(*arguments).startswith(told)


def test_nothing_to_collect_is_said(review: Review) -> None:
    assert review("collect") == "no batch is full"


def test_without_a_chain_it_names_what_is_missing(review: Review) -> None:
    shutil.rmtree("data")
    assert review("publish").startswith("fledgling: data/sampled.jsonl: no such file; the chain makes it")
