"""Drift: what is compared with what, and what is told of it."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.judging.records import Item
from tasks.registry import store
from tasks.registry.watched import log_drift
from tasks.reviews.database import Database, open_database
from tasks.serving.drift import Drift, compare, look
from tasks.serving.params import DriftParams
from tasks.serving.recorded import to_row
from tasks.serving.reply import Reply
from tests.conftest import ROOT, refused
from tests.tasks.serving.served import NOW, reply

PARAMS = DriftParams(
    hours=24, min_replies=10, judged=0, max_length_change=0.5, max_new_words=0.1, max_distinct_change=0.3,
    max_refusals=0.2, max_score_drop=0.5,
)  # fmt: skip
NAMES = ("Tom", "Ana", "Ben", "Mia")
PLACES = ("sea", "hill", "wood")


def story(number: int) -> str:
    name, place = NAMES[number % 4], PLACES[number % 3]
    return f"{name} went to the {place}. There was a small dog. {name} and the dog played and then they ran home."


ACCEPTED = [
    Item(prompt_id=str(at), kind="story", prompt="Tell me a story.", answer=story(at), by="aligned") for at in range(24)
]
SHORT = [
    Item(prompt_id=f"t{at}", kind="translation", prompt="Translate it.", answer=f"Le chien {NAMES[at]}.", by="aligned")
    for at in range(4)
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path}/review.db") as database:
        yield database


def keep(database: Database, replies: Sequence[Reply]) -> None:
    with database.session() as session:
        session.add_all(map(to_row, replies))


def told(database: Database, **changes: Any) -> Drift:
    return look(
        database,
        params=PARAMS.model_copy(update=changes),
        accepted=[*ACCEPTED, *SHORT],
        now=NOW,
        rubric=ROOT / "rubric.yaml",
    )


def stories(count: int = 12, **changes: Any) -> list[Reply]:
    at = NOW - timedelta(hours=1)
    return [
        reply(n, **{"asked": "Tell me a story.", "said": story(n), "created_at": at, **changes}) for n in range(count)
    ]


def test_what_is_as_it_was_accepted_drifts_nowhere(database: Database) -> None:
    keep(database, stories())
    found = told(database)
    assert (found.replies, found.measured, found.alerts) == (12, 12, ())
    assert found.served is not None
    assert found.accepted is not None
    assert found.served.median_words == pytest.approx(found.accepted.median_words, abs=1), "of stories alone"
    assert found.metrics["drift/served_median_words"] == found.served.median_words
    assert found.line == "12 replies of 24 h, 12 measured: no drift"


@pytest.mark.parametrize(
    ("said", "alert"),
    [
        ("Tom ran home.", "length 3 beside 20: changed by -85%"),
        ("Quantum ledgers amortise derivative exposure across synthetic tranches " * 2, "100.0% new words beside 0.0%"),
        ("Tom ran home. " * 7, "distinct-2 0.15 beside 1"),
    ],
)
def test_another_length_vocabulary_or_variety_is_an_alert(database: Database, said: str, alert: str) -> None:
    keep(database, stories(said=said))
    assert [one for one in told(database).alerts if one.startswith(alert)]


def test_refusals_are_counted_and_not_measured(database: Database) -> None:
    keep(database, stories(8))
    refused_ones = stories(12, finish_reason="content_filter", said="No.", guard="prompt refused: weapons")[8:]
    keep(database, refused_ones)
    found = told(database)
    assert (found.refusal_share, found.measured) == (pytest.approx(1 / 3), 8)
    assert found.alerts == ("33% of the requests were refused, 20% are allowed",)
    assert found.served is None


def test_too_few_the_candidates_and_old_ones_say_nothing(database: Database) -> None:
    keep(database, stories(5, said="No."))
    keep(database, [reply(50 + n, said="No.", share="candidate", created_at=NOW) for n in range(20)])
    keep(database, [reply(90 + n, said="No.", created_at=NOW - timedelta(hours=25)) for n in range(20)])
    found = told(database)
    assert (found.replies, found.alerts) == (5, ())
    assert "too few to compare" in found.line


def test_without_a_champion_it_is_told(database: Database) -> None:
    with refused("no champion yet"):
        look(database, params=PARAMS, accepted=[], now=NOW)


def test_an_accepted_answer_is_not_new_to_itself() -> None:
    ours, theirs = compare(ACCEPTED, ACCEPTED, None)
    assert ours.new_word_share == theirs.new_word_share == 0.0
    odd = Item(prompt_id="x", kind="story", prompt="Say zebra.", answer="Zebra xylophone the dog.", by="aligned")
    ours, theirs = compare([odd], [*ACCEPTED, odd], None)
    assert ours.new_word_share == 0.0, "the accepted hold it"
    assert theirs.new_word_share == pytest.approx(1 / 4 / 25), "no other holds xylophone; zebra was asked for"


def test_the_figures_are_points_of_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    run = log_drift({"drift/replies": 12.0}, at=NOW)
    assert log_drift({"drift/replies": 14.0}, at=NOW + timedelta(hours=1)) == run
    history = store.connect().get_metric_history(run, "drift/replies")
    assert [(one.value, one.step - history[0].step) for one in history] == [(12.0, 0), (14.0, 1)]
    shutil.rmtree(tmp_path / "var")
