"""Items of served replies on both databases; what else becomes of replies: tests/tasks/serving/test_record.py."""

from functools import partial

import pytest
from sqlalchemy import select

from tasks.reviews.database import open_database
from tasks.reviews.served import task_of
from tasks.reviews.tables import Generation, Item
from tasks.serving.params import RecordParams
from tasks.serving.record import Record
from tests.tasks.reviews import small
from tests.tasks.serving.served import NOW, reply


def test_replies_become_items_whatever_letters_they_hold(review_address: str) -> None:
    params = RecordParams(keep=False, days=30, trace_share=0.0)
    with Record(params, reviews=small.PARAMS, database=partial(open_database, review_address)) as record:
        record.write(reply(1, said="A duck\x00 swam. \ud83e The end.", conversation="a\x00b"))
        record.write(reply(2, said="A boat sank."))
        rated, chosen = (
            record.vote(reply(1).id, "down", now=NOW),
            record.vote(reply(1).id, "better", other=reply(2).id, now=NOW),
        )
        with record.database.reading() as session:
            assert {item.id for item in session.scalars(select(Item))} == {rated, chosen}
            texts = set(session.scalars(select(Generation.text)))
            assert texts == {"A duck� swam. ? The end.", "A boat sank."}
        assert record.forget(NOW.replace(year=2099)) == 2


@pytest.mark.parametrize(
    ("prompt", "labels", "task"),
    [
        ("Tell me a story about a frog.", [], "story"),
        ("Summarize this story: Tom ran.", [], "summarization"),
        ("Translate into French: a dog", [], "translation"),
        ("Is this happy or sad? A story.", ["happy", "sad"], "classification"),
        ("Why is the sky blue?", [], "assistant"),
        ("Which history book?", [], "assistant"),
    ],
)
def test_the_words_of_a_prompt_tell_its_task(prompt: str, labels: list[str], task: str) -> None:
    assert task_of(prompt, {"labels": labels}) == task
