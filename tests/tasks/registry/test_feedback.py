"""People's decisions in MLflow: HUMAN feedback on the traces of the answers, each once."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tasks.registry import feedback, store
from tasks.registry.feedback import mirror, said_of
from tasks.reviews.collecting import collect
from tasks.reviews.database import Database, open_database
from tasks.reviews.tables import Export
from tests.conftest import refused
from tests.tasks.reviews.small import NOW, answer, deal, params, person, publish, sent
from tests.tasks.reviews.test_batch_file import row

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def reviewed(chain: Path) -> Iterator[Database]:
    """A collected batch of all four kinds, with gold items and a second opinion of each."""
    with open_database(f"sqlite:///{chain}/var/review/review.db") as database:
        with database.session() as session:
            publish(session, items=4, kinds=("choice", "ranking", "rating", "correction"), gold=2, double_each=4)
            people = [person(session, name) for name in ("Ada", "Bo")]
        for who in people:
            for _ in range(6):
                with database.session() as session:
                    for card in deal(session, who, gold_share=0.3):
                        answer(session, who, sent(card))
        collect(database, params=params(), now=LATER)
        yield database


def traces() -> list[Any]:
    client = store.connect()
    found = client.search_traces(locations=[store.experiment_id(client)], include_spans=False, max_results=100)
    return list(found)


def said() -> list[tuple[str, str, Any]]:
    return [
        (str(trace.info.tags["item"]), one.name, one.value)
        for trace in traces()
        for one in trace.info.assessments or ()
    ]


def test_each_decision_is_feedback_on_the_answers_traces_once(reviewed: Database) -> None:
    sent_now = mirror(reviewed, now=LATER)
    told = said()
    assert sent_now == len(told)
    # a choice by two people on two answers, a ranking of three, a rating on two axes, a correction
    assert Counter(name for _, name, _ in told) == {"choice": 4, "rank": 3, "grammar": 1, "plot": 1, "correction": 1}
    assert {value for _, name, value in told if name == "choice"} <= {"chosen", "not chosen"}
    with reviewed.reading() as session:
        assert session.scalars(select(Export)).one().mirrored_at == LATER
    assert mirror(reviewed, now=LATER) == 0


def test_the_source_is_a_person_under_a_pseudonym(reviewed: Database) -> None:
    mirror(reviewed, now=LATER)
    found = [one for trace in traces() for one in trace.info.assessments]
    assert {one.source.source_type for one in found} == {"HUMAN"}
    assert all(one.source.source_id.startswith("reader-") for one in found)
    assert all(one.metadata["batch"] == "batch-1" and one.metadata["annotation"] for one in found)
    assert not any("Ada" in str(one.to_dictionary()) for one in found)


def test_what_broke_off_is_sent_on_and_nothing_twice(reviewed: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        counted = iter(range(5))
        logged = feedback._log

        def fail_after_some(*arguments: Any) -> int:
            if next(counted, None) is None:
                raise OSError("the network is gone")
            return logged(*arguments)

        patched.setattr(feedback, "_log", fail_after_some)
        with refused("MLflow at .*: the network is gone; the batch files are safe"):
            mirror(reviewed, now=LATER)
    some = said()
    assert some
    assert mirror(reviewed, now=LATER) == 10 - len(some)
    assert len(said()) == 10
    with reviewed.session() as session:
        session.scalars(select(Export)).one().mirrored_at = None
    assert mirror(reviewed, now=LATER) == 0
    assert len(said()) == 10


def test_an_answer_that_a_judge_spoke_of_keeps_its_one_trace(reviewed: Database) -> None:
    import mlflow

    client = store.connect()
    with reviewed.reading() as session:
        rows = feedback.rows_of(session, 1)
    choice = next(one for one in rows if one.kind == "choice" and one.purpose == "ordinary")
    feedback._log_trace(choice, choice.answers[0], experiment=store.experiment_id(client))
    mlflow.flush_trace_async_logging()
    mirror(reviewed, now=LATER)
    items = Counter(trace.info.tags["item"] for trace in traces())
    assert items[choice.answers[0].judged_item] == 1


def test_without_a_server_it_says_so_in_one_line(reviewed: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with refused("MLflow at http://127.0.0.1:9: "):
        mirror(reviewed, now=LATER)
    with reviewed.reading() as session:
        assert session.scalars(select(Export)).one().mirrored_at is None


@pytest.mark.parametrize(("winner", "values"), [("g1", ["not chosen", "chosen"]), ("tie", ["tie", "tie"])])
def test_a_choice_speaks_of_both_answers(winner: str, values: list[str]) -> None:
    decided = row(decision={"winner": winner})
    assert [one.value for answer in decided.answers for one in said_of(decided, answer)] == values
    assert [one.metadata for answer in decided.answers for one in said_of(decided, answer)] == [
        {"beside": "g1"},
        {"beside": "g0"},
    ]


def test_a_ranking_tells_each_place_equals_the_same() -> None:
    decided = row(kind="ranking")
    places = [one.value for answer in decided.answers for one in said_of(decided, answer)]
    assert places == [2, 2, 1]


def test_the_store_is_the_projects_own(reviewed: Database) -> None:
    mirror(reviewed, now=LATER)
    with sqlite3.connect(store.DATABASE) as connection:
        assert connection.execute("SELECT count(*) FROM trace_info").fetchone()[0] == len(traces())
