"""Reviewers are added, revoked and admitted again; their names are only ever texts."""

import pytest

from tasks.reviews import reviewers
from tasks.reviews.database import Database
from tests.conftest import refused
from tests.tasks.reviews.small import NOW, person


def test_a_pseudonym_says_nothing_of_the_name(review_database: Database) -> None:
    with review_database.session() as session:
        people = [person(session, f"Ada {number}") for number in range(30)]
        pseudonyms = [found.pseudonym for found in people]
    assert len(set(pseudonyms)) == 30
    assert all(name.startswith("reader-") and len(name) == 13 and "ada" not in name for name in pseudonyms)


def test_a_script_that_reviews_is_known_by_its_pseudonym(review_database: Database) -> None:
    with review_database.session() as session:
        script = reviewers.add(session, "Ada", "reviewer", NOW, is_simulated=True)
        assert script.pseudonym.startswith("simulated-")


def test_a_revoked_reviewer_can_be_admitted_again(review_database: Database) -> None:
    with review_database.session() as session:
        ada = person(session)
        reviewers.revoke(session, "Ada")
        assert (ada.is_active, ada.session_version) == (False, 1)
        reviewers.admit(session, "Ada")
        assert (ada.is_active, ada.session_version) == (True, 1)  # what was sent before stays ended
        assert reviewers.by_name(session, " Ada ") is ada


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "O'Neil; DROP TABLE reviewers;--", "Zoë 李", "x" * 80])
def test_any_text_is_a_name(review_database: Database, name: str) -> None:
    with review_database.session() as session:
        assert person(session, name).name == name


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\nb", "a\x00b", "a\u2028b", "a\ud800", "\x1b[31mred"])
def test_some_are_refused(review_database: Database, name: str) -> None:
    with review_database.session() as session, refused("a reviewer's name"):
        person(session, name)


def test_a_name_is_taken_once(review_database: Database) -> None:
    with review_database.session() as session:
        person(session, "Zoe\u0308")
        with refused("already"):
            reviewers.add(session, "Zo\u00eb", "owner", NOW)  # the same letters, composed
        with refused("no reviewer 'Bo'"):
            reviewers.by_name(session, "Bo")
