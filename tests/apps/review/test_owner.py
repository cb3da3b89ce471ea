"""What the owner sees: batches, people, and an item with all that was done with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.reviews.collecting import collect
from tasks.reviews.database import Database
from tests.apps.review.filled import NOW, Filling, Served, invite
from tests.apps.review.member import joined, order_of
from tests.tasks.reviews import small

pytestmark = pytest.mark.server

Publish = Callable[..., str]


def test_an_item_shows_where_its_answers_come_from_and_what_was_done(
    served: Served, database: Database, publish: Publish
) -> None:
    batch = publish(Filling(kind="choice"), Filling(kind="correction"))
    with joined(invite(database, served.settings, "Harriet")) as member:
        first, second = member.cards
        member.choose(first, "left")
        assert order_of(member.post("/undo", {"nonce": "an-undo-of-harriet"})) == [first, second]
        member.choose(first, "both_bad")
        member.post("/skips", {"assignment": second, "nonce": "a-skip-of-harriet", "said": '{"reason": "broken"}',
                               "milliseconds": 5, "page_version": "tests"})  # fmt: skip
    with joined(invite(database, served.settings, "Orla", "owner")) as owner:
        item = owner.client.get(f"/owner/items/{batch}/0").text
        for told in ("finetuned", "secret-judge", "Harriet", "answer: both bad", "undo", "superseded", "in force"):
            assert told in item
        assert "reason: broken" in owner.client.get(f"/owner/items/{batch}/1").text
        assert "1 of 2 decisions" in owner.client.get(f"/owner/batches/{batch}").text
        overview = owner.client.get("/owner").text
        assert batch in overview
        assert "Harriet" in overview
        assert owner.client.get("/owner/batches/nowhere").status_code == 404
        assert owner.client.get("/owner/items/nowhere/1").status_code == 404


def test_a_collected_batch_is_taken_from_the_page_as_its_file_is(
    served: Served, database: Database, publish: Publish, workspace: Path
) -> None:
    batch = publish(Filling(kind="choice"))
    with joined(invite(database, served.settings, "Hilda")) as member:
        member.choose(member.cards[0])
        assert member.client.get(f"/owner/files/{batch}.jsonl").status_code == 403
    (made,) = collect(database, params=small.PARAMS, now=NOW, batch=batch)
    with joined(invite(database, served.settings, "Orpha", "owner")) as owner:
        assert f'href="/owner/files/{batch}.jsonl"' in owner.client.get("/owner").text
        taken = owner.client.get(f"/owner/files/{batch}.jsonl")
        assert taken.content == (workspace / made.file).read_bytes()
        assert b"Hilda" not in taken.content
        assert taken.headers["content-disposition"] == f'attachment; filename="{batch}.jsonl"'
        assert owner.client.get("/owner/files/nowhere.jsonl").status_code == 404


def test_an_owner_may_read_too(served: Served, database: Database, publish: Publish) -> None:
    publish(Filling(kind="choice"))
    with joined(invite(database, served.settings, "Odette", "owner")) as owner:
        (card,) = owner.cards
        assert owner.choose(card).status_code == 200
