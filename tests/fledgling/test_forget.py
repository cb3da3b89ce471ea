"""`fledgling forget`: what is not published is gone, what is published is said."""

from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.exc import DatabaseError

from fledgling.forget import forget
from tasks.keeping.forgetting import forget_reply, forget_reviewer
from tasks.registry import store
from tasks.reviews.batch_file import FEEDBACK, read_folder
from tasks.reviews.collecting import collect
from tasks.reviews.database import Database, Unavailable, open_database
from tasks.reviews.tables import Annotation, Assignment, Generation, Item, ReplyVote, Reviewer, ServedReply
from tasks.serving.params import RecordParams
from tasks.serving.record import Record
from tasks.serving.traces import trace
from tests.conftest import refused
from tests.tasks.reviews import small
from tests.tasks.reviews.conftest import postgresql as postgresql
from tests.tasks.reviews.conftest import review_address as review_address
from tests.tasks.reviews.conftest import review_database as review_database
from tests.tasks.reviews.small import NOW, answer, deal, person, publish, sent
from tests.tasks.serving.served import reply

RECORD = RecordParams(keep=True, days=30, trace_share=0.0)


@pytest.fixture(autouse=True)
def folder(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: no registry, no batch file."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return workspace


def answered(database: Database, *names: str, batch: str, items: int = 2) -> None:
    """A batch of which each of the people answers `items` items."""
    with database.session() as session:
        publish(session, name=batch, items=items * len(names))
        for name in names:
            found = session.scalar(select(Reviewer).where(Reviewer.name == name)) or person(session, name)
            for _ in range(items):
                for card in deal(session, found):
                    answer(session, found, sent(card))


def count(database: Database, table: type, *where: object) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table).where(*where)) or 0  # type: ignore[arg-type]


def names(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(Reviewer.name).order_by(Reviewer.name)))


def test_a_reviewer_of_whom_nothing_is_published_is_gone(review_database: Database) -> None:
    answered(review_database, "Ada", "Ben", batch="batch-1")
    told = forget_reviewer(review_database, "Ada")
    assert told.published == ()
    assert "2 unpublished answers" in told.line
    assert "no batch file holds anything of it" in told.line
    assert names(review_database) == ["Ben"]
    assert count(review_database, Annotation) == 2
    with review_database.session() as session:  # what she had answered waits for another one
        ben = session.scalars(select(Reviewer)).one()
        assert len(deal(session, ben, 5)) == 2


def test_what_is_published_of_a_reviewer_stays_without_a_name(review_database: Database) -> None:
    answered(review_database, "Ada", batch="batch-1")
    lenient = small.params(quality=small.PARAMS.quality.model_copy(update={"max_one_side_share": 1.0}))
    collect(review_database, params=lenient, now=NOW, early=True, batch="batch-1")
    before = read_folder()
    answered(review_database, "Ada", batch="batch-2")
    told = forget_reviewer(review_database, "Ada")
    assert told.published == ("batch-1.jsonl",)
    assert f"{FEEDBACK}/batch-1.jsonl" in told.line
    assert "2 unpublished answers" in told.line
    (left,) = names(review_database)
    assert left.startswith("forgotten-")
    assert count(review_database, Annotation) == 2
    assert read_folder() == before
    with refused("there is no reviewer 'Ada'"):
        forget_reviewer(review_database, "Ada")


def test_a_lost_batch_file_is_still_made_again_with_the_same_bytes(review_database: Database) -> None:
    answered(review_database, "Ada", batch="batch-1")
    lenient = small.params(quality=small.PARAMS.quality.model_copy(update={"max_one_side_share": 1.0}))
    collect(review_database, params=lenient, now=NOW, early=True, batch="batch-1")
    file = FEEDBACK / "batch-1.jsonl"
    before = file.read_bytes()
    forget_reviewer(review_database, "Ada")
    file.unlink()
    collect(review_database, params=lenient, now=NOW, batch="batch-1")
    assert file.read_bytes() == before


def test_answers_can_be_deleted_by_nobody_else_afterwards(review_database: Database) -> None:
    answered(review_database, "Ada", "Ben", batch="batch-1")
    forget_reviewer(review_database, "Ada")
    with pytest.raises((DatabaseError, Unavailable), match="append-only"), review_database.session() as session:
        session.execute(delete(Annotation))
    assert count(review_database, Annotation) == 2


def served(address: str) -> None:
    """Two recorded replies; the first was voted for, and compared with the second."""
    with Record(RECORD, reviews=small.PARAMS, database=partial(open_database, address)) as record:
        record.write(reply(1))
        record.write(reply(2, said="A boat sank."))
        record.vote(reply(1).id, "down", now=NOW)
        record.vote(reply(1).id, "better", other=reply(2).id, now=NOW)


def test_a_served_reply_is_gone_with_all_that_shows_it(review_address: str) -> None:
    served(review_address)
    with open_database(review_address) as database:
        told = forget_reply(database, reply(1).id)
        assert told.published == ()
        assert "2 votes, 2 review items, 0 traces" in told.line
        assert count(database, ServedReply) == 1
        assert [count(database, table) for table in (ReplyVote, Item, Assignment)] == [0, 0, 0]
        assert count(database, Generation, Generation.text == reply(1).reply) == 0
        with refused(f"there is no served reply '{reply(1).id}'"):
            forget_reply(database, reply(1).id)


def test_a_reply_that_is_published_says_where(review_address: str) -> None:
    served(review_address)
    lenient = small.params(quality=small.PARAMS.quality.model_copy(update={"max_one_side_share": 1.0}))
    with open_database(review_address) as database:
        with database.session() as session:
            reader = person(session)
            for card in deal(session, reader, 2):
                answer(session, reader, sent(card))
        (made,) = collect(database, params=lenient, now=NOW, early=True, batch=_batch(database))
        told = forget_reply(database, reply(1).id)
        assert told.published == (made.file.name,)
        assert "0 review items" in told.line
        assert count(database, ServedReply) == 1
        assert count(database, Generation, Generation.text == reply(1).reply) == 1


def _batch(database: Database) -> str:
    with database.reading() as session:
        return str(session.scalars(select(Item.batch_id)).first())


@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")  # of MLflow: as an error it would begin no trace
def test_its_traces_are_deleted_too(workspace: Path) -> None:
    address = "sqlite:///var/review/review.db"
    with Record(RECORD, reviews=small.PARAMS, database=partial(open_database, address)) as record:
        record.write(reply(1))
    trace(reply(1))
    trace(reply(2))
    import mlflow

    mlflow.flush_trace_async_logging()
    client = store.connect()
    assert "1 traces" in forget(reviewer=None, reply=reply(1).id)
    left = client.search_traces(locations=[store.experiment_id(client)])
    assert [one.info.tags["reply"] for one in left] == [reply(2).id]


@pytest.mark.parametrize("named", [{"reviewer": None, "reply": None}, {"reviewer": "Ada", "reply": "x"}])
def test_one_is_named(named: dict[str, str | None]) -> None:
    with refused("name one: --reviewer NAME or --reply ID"):
        forget(**named)
