"""Full batches become immutable files: each annotation in exactly one, whoever collects and whoever is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tasks.reviews import leasing
from tasks.reviews.batch_file import FEEDBACK, Feedback, manifest_of, read_batch, read_folder, read_manifest
from tasks.reviews.cards import cards
from tasks.reviews.collecting import collect
from tasks.reviews.database import Database, open_database
from tasks.reviews.filing import Collected
from tasks.reviews.kinds import Kind
from tasks.reviews.params import ReviewParams
from tasks.reviews.tables import Annotation, Batch, Export, Exported, Reviewer
from tests.conftest import ROOT, refused
from tests.tasks.reviews import small
from tests.tasks.reviews.small import NOW, RUBRIC, answer, deal, params, person, publish, sent

KINDS: tuple[Kind, ...] = ("choice", "ranking", "rating", "correction")
LATER = NOW + timedelta(days=1)
PROCESSES = 3
LENIENT = params(  # these made-up reviewers always say "left"
    quality=small.PARAMS.quality.model_copy(
        update={"max_one_side_share": 1.0, "min_self_consistency": 0.0, "min_gold_agreement": 0.0}
    )
)


@pytest.fixture(autouse=True)
def folder(workspace: Path) -> Path:
    """The working folder of a collection; no DVC is there."""
    return workspace


def run(database: Database, **named: Any) -> list[Collected]:
    return collect(database, params=LENIENT, now=LATER, **named)


def review_all(database: Database, *names: str, milliseconds: int = 4000, settings: ReviewParams | None = None) -> None:
    """These people in turn answer all that they are given."""
    with database.session() as session:
        people = [person(session, name) for name in names]
    busy = True
    while busy:
        busy = sum(_answer_one(database, who, milliseconds, settings or params()) for who in people) > 0


def _answer_one(database: Database, who: Reviewer, milliseconds: int, settings: ReviewParams) -> bool:
    with database.session() as session:
        dealt = cards(session, leasing.deal(session, who, count=1, params=settings, now=NOW), rubric=RUBRIC)
        for card in dealt:
            answer(session, who, replace(sent(card), milliseconds=milliseconds))
        return bool(dealt)


def published(database: Database, **named: Any) -> None:
    with database.session() as session:
        publish(session, **named)


def rows(*names: str) -> list[Feedback]:
    return [row for name in names for row in read_batch(FEEDBACK / f"{name}.jsonl")]


def test_a_full_batch_becomes_a_file_and_is_closed(review_database: Database) -> None:
    published(review_database, items=8, kinds=KINDS, double_each=4)
    review_all(review_database, "Ada Lovelace", "Bo")
    [made] = run(review_database)
    found = rows("batch-1")
    assert made.file == FEEDBACK / "batch-1.jsonl"
    assert Counter(row.kind for row in found) == {"choice": 4, "ranking": 2, "rating": 2, "correction": 2}
    assert [row.annotation for row in found] == sorted(row.annotation for row in found)
    with review_database.reading() as session:
        export = session.scalars(select(Export)).one()
        manifest = read_manifest(made.file)
        assert export.manifest_sha256 == manifest.hash
        assert export.written_at == LATER
        assert session.get_one(Batch, "batch-1").closed_at == LATER
        assert set(session.scalars(select(Exported.annotation_id))) == {row.annotation for row in found}
    assert manifest.rows == len(found) == 10
    assert manifest.kinds["choice"] == 4
    assert read_folder() == found
    assert run(review_database) == []


def test_nobody_is_named_and_no_hour_is_told(review_database: Database) -> None:
    published(review_database, items=4, kinds=KINDS)
    review_all(review_database, "Ada Lovelace")
    [made] = run(review_database)
    told = made.file.read_text() + manifest_of(made.file).read_text()
    assert "Ada" not in told
    assert "Lovelace" not in told
    assert "09:00" not in told
    assert all(row.reviewer.startswith("reader-") and str(row.day) == "2026-11-22" for row in rows("batch-1"))


def test_gold_and_repeats_are_in_the_file_and_marked(review_database: Database) -> None:
    settings = params(gold_share=0.25, again_share=1.0, again_after=2)
    published(review_database, items=12, gold=4)
    review_all(review_database, "Ada", settings=settings)
    run(review_database)
    purposes = Counter(row.purpose for row in rows("batch-1"))
    assert purposes["ordinary"] == 12
    assert purposes["gold"] >= 2
    assert purposes["again"] >= 2
    assert sum(row.is_for_training for row in rows("batch-1")) == 12
    assert read_manifest(FEEDBACK / "batch-1.jsonl").purposes == purposes


def test_how_far_two_people_agree_stands_in_the_manifest(review_database: Database) -> None:
    published(review_database, items=10, double_each=1)
    review_all(review_database, "Ada", "Bo")
    run(review_database)
    told = read_manifest(FEEDBACK / "batch-1.jsonl").agreement["preferences"]
    assert told["units"] == 10
    assert 0 <= told["same"][0] <= 1


def test_a_batch_that_is_not_full_waits_or_is_collected_early(review_database: Database) -> None:
    published(review_database, items=4)
    with review_database.session() as session:
        ada = person(session)
        answer(session, ada, sent(deal(session, ada)[0]))
    assert run(review_database) == []
    with refused("batch-1 has 1 of 4 answers; --early collects and closes it as it is"):
        run(review_database, batch="batch-1")
    assert [one.manifest.rows for one in run(review_database, batch="batch-1", early=True)] == [1]
    with review_database.session() as session:
        assert deal(session, ada) == []


def test_what_is_no_batch_or_has_no_answers_is_told(review_database: Database) -> None:
    with refused("there is no batch 'nope'; there are: none"):
        run(review_database, batch="nope")
    published(review_database, items=4)
    with refused("there is no batch 'nope'; there are: batch-1"):
        run(review_database, batch="nope")
    with refused("batch-1 has no answers yet"):
        run(review_database, batch="batch-1", early=True)


def test_answers_that_come_late_are_in_a_file_of_their_own(review_database: Database) -> None:
    published(review_database, items=3)
    with review_database.session() as session:
        ada = person(session)
        cards = deal(session, ada, 3)
        answer(session, ada, sent(cards[0]))
    run(review_database, batch="batch-1", early=True)
    with review_database.session() as session:
        answer(session, ada, sent(cards[1]))
        answer(session, ada, sent(cards[2]))
    [made] = run(review_database)
    assert made.file.name == "batch-1-2.jsonl"
    assert made.manifest.number == 2
    assert len(rows("batch-1")) == 1
    assert len(read_folder()) == 3
    assert run(review_database) == []


def test_who_fails_a_check_of_quality_is_left_out_and_nothing_is_deleted(review_database: Database) -> None:
    published(review_database, items=20, double_each=1)
    with review_database.session() as session:
        careless, ada = person(session, "Careless"), person(session)
    review_as(review_database, careless, milliseconds=1)
    review_as(review_database, ada, milliseconds=60_000)
    [made] = run(review_database)
    [left_out] = made.manifest.left_out
    assert (left_out.reviewer, left_out.rows) == (careless.pseudonym, 20)
    assert left_out.reason
    assert {row.reviewer for row in rows("batch-1")} == {ada.pseudonym}
    assert "20 left out for quality" in made.line
    with review_database.reading() as session:
        assert len(session.scalars(select(Annotation)).all()) == 40
    assert run(review_database) == []


def review_as(database: Database, who: Reviewer, *, milliseconds: int) -> None:
    while _answer_one(database, who, milliseconds, params()):
        pass


def test_where_nobody_passes_the_batch_stays_open(review_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    published(review_database, items=20)
    review_all(review_database, "Careless", milliseconds=1)
    assert run(review_database) == []
    assert "batch-1: no answers of reviewers who pass the checks of quality" in caplog.text
    assert not FEEDBACK.exists()
    fast = params(quality=LENIENT.quality.model_copy(update={"max_fast_share": 1.0}))
    assert [one.manifest.rows for one in collect(review_database, params=fast, now=LATER)] == [20]


def test_a_file_that_was_lost_is_made_again_and_one_that_was_changed_is_refused(review_database: Database) -> None:
    published(review_database, items=3)
    review_all(review_database, "Ada")
    [made] = run(review_database)
    before = made.file.read_bytes()
    made.file.unlink()
    assert run(review_database) == []  # whoever keeps the files elsewhere is left alone
    assert [one.file for one in run(review_database, batch="batch-1")] == [made.file]
    assert made.file.read_bytes() == before
    with review_database.session() as session:
        session.scalars(select(Export)).one().written_at = None
    made.file.write_text("{}\n")
    with refused("batch files are never changed"):
        run(review_database)


KILLED = """
import os, signal, sys
from datetime import datetime
from tasks.reviews import collecting, filing
from tests.tasks.reviews.test_collecting import LATER, LENIENT
from tasks.reviews.database import open_database

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(filing, sys.argv[2], die)
with open_database(sys.argv[1]) as database:
    collecting.collect(database, params=LENIENT, now=LATER)
"""


def start(code: str, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, text=True, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("at", ["written", "_write", "write_text", "_track"])
def test_a_collection_that_was_killed_is_ended_by_the_next(
    at: str, review_database: Database, review_address: str
) -> None:
    published(review_database, items=6, kinds=KINDS)
    review_all(review_database, "Ada")
    killed = start(KILLED, review_address, at)
    _, error = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, error
    with review_database.reading() as session:
        export = session.scalars(select(Export)).one()
        assert export.written_at is None
        promised = export.manifest["sha256"]
    [made] = run(review_database)
    assert made.manifest.sha256 == promised
    assert len(read_folder()) == 6
    with review_database.reading() as session:
        assert session.scalars(select(Export)).one().written_at == LATER
    assert run(review_database) == []


COLLECTING = """
import sys, time
from tasks.reviews.collecting import collect
from tests.tasks.reviews.test_collecting import LATER, LENIENT
from tasks.reviews.database import open_database

with open_database(sys.argv[1]) as database:
    sys.stderr.write("ready")
    sys.stderr.flush()
    time.sleep(max(0, float(sys.argv[2]) - time.time()))
    collect(database, params=LENIENT, now=LATER)
"""


def test_of_collections_at_once_each_annotation_is_in_exactly_one_file(
    review_database: Database, review_address: str
) -> None:
    names = [f"batch-{letter}" for letter in "abcdef"]
    for name in names:
        published(review_database, items=10, name=name, double_each=3)
    review_all(review_database, "Ada", "Bo")
    moment = str(time.time() + 8)
    processes = [start(COLLECTING, review_address, moment) for _ in range(PROCESSES)]
    for process in processes:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    assert sorted(path.name for path in FEEDBACK.glob("*.jsonl")) == [f"{name}.jsonl" for name in names]
    _each_is_in_exactly_one_file(review_database)
    assert not list(FEEDBACK.glob("*.partial"))


def _each_is_in_exactly_one_file(database: Database) -> None:
    counted = Counter(row.annotation for row in read_folder())
    with database.reading() as session:
        answers = set(session.scalars(select(Annotation.id).where(Annotation.action == "answer")))
    assert set(counted) == answers
    assert set(counted.values()) == {1}


def test_answers_that_are_sent_while_it_is_collected_are_each_in_one_file(
    review_database: Database, review_address: str
) -> None:
    published(review_database, items=60)
    with review_database.session() as session:
        people = [person(session, f"Reader {number}") for number in range(4)]
        cards = {who.id: deal(session, who, 15) for who in people}
        answer(session, people[0], sent(cards[people[0].id].pop()))

    def review(who: Reviewer) -> None:
        for card in cards[who.id]:
            with review_database.session() as session:
                answer(session, who, sent(card))

    threads = [threading.Thread(target=review, args=(who,)) for who in people]
    for thread in threads:
        thread.start()
    with open_database(review_address) as another:
        run(another, batch="batch-1", early=True)
    for thread in threads:
        thread.join()
    run(review_database)
    assert len(read_folder()) == 60
    _each_is_in_exactly_one_file(review_database)


def dvc(*arguments: str) -> str:
    return _command(sys.executable, "-m", "dvc", *arguments)


def git(*arguments: str) -> str:
    return _command("git", "-c", "user.name=tests", "-c", "user.email=tests@localhost", *arguments)


def _command(*arguments: str) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


STAGE = """
stages:
  calibrate:
    cmd: python -c "import glob; print(sorted(glob.glob('data/feedback/*.jsonl')), file=open('metrics.txt', 'w'))"
    deps: [data/feedback]
    outs: [metrics.txt]
"""


@pytest.fixture
def project(folder: Path) -> Path:
    """A project under git and DVC with this project's own rules of what is ignored, and a stage that reads reviews."""
    for name in (".gitignore", ".dvcignore", "data/feedback/README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    git("init", "-q", ".")
    dvc("init", "-q")
    (folder / "dvc.yaml").write_text(STAGE)
    git("add", ".")
    git("commit", "-q", "-m", "a project")
    return folder


def sqlite(folder: Path) -> Database:
    return open_database(f"sqlite:///{folder}/var/review/review.db")


@pytest.mark.usefixtures("project")
def test_dvc_holds_the_file_git_what_names_it_and_a_stage_sees_it(folder: Path) -> None:
    dvc("repro", "-q")
    with sqlite(folder) as database:
        published(database, items=3)
        review_all(database, "Ada")
        [made] = run(database)
    assert made.untracked == ""
    _git_sees(["data/feedback/batch-1.jsonl.dvc", "data/feedback/batch-1.manifest.json"])
    assert "data/feedback" in json.loads(dvc("status", "--json"))["calibrate"][0]["changed deps"]
    dvc("repro", "-q")
    assert "batch-1.jsonl" in (folder / "metrics.txt").read_text()
    assert json.loads(dvc("status", "--json")) == {}
    git("add", "data/feedback", "dvc.lock")
    git("commit", "-q", "-m", "reviews")
    made.file.unlink()
    dvc("checkout", "-q")
    assert len(read_folder()) == 3


def _git_sees(new: Sequence[str]) -> None:
    told = git("status", "--porcelain", "--untracked-files=all", "--", "data").splitlines()
    assert [line.split()[1] for line in told] == list(new)


@pytest.mark.usefixtures("project")
def test_what_dvc_could_not_take_it_takes_next_time(folder: Path) -> None:
    shutil.move(".dvc", "elsewhere")
    with sqlite(folder) as database:
        published(database, items=3)
        review_all(database, "Ada")
        [made] = run(database)
        assert made.untracked.startswith("this folder is not under DVC")
        assert "\n" not in made.line
        assert "not in DVC: " in made.line
        shutil.move("elsewhere", ".dvc")
        assert run(database) == []
    assert (FEEDBACK / "batch-1.jsonl.dvc").exists()


def test_without_git_dvc_holds_it_too(folder: Path) -> None:
    dvc("init", "-q", "--no-scm")
    with sqlite(folder) as database:
        published(database, items=3)
        review_all(database, "Ada")
        assert [one.untracked for one in run(database)] == [""]
    assert (FEEDBACK / "batch-1.jsonl.dvc").exists()
