"""What names a request and its reply: kept files must be found again after every change of this code."""

from typing import Any

import pytest

from tasks.endpoint import Request


def request(**changes: Any) -> Request:
    given: dict[str, Any] = {
        "endpoint": "http://127.0.0.1:8000/v1", "model": "m", "messages": ({"role": "user", "content": "Räkna"},),
        "temperature": 1.0, "max_tokens": 800, "n": 0,
    }  # fmt: skip
    return Request(**{**given, **changes})


def test_a_request_keeps_its_name_where_no_new_field_is_used() -> None:
    assert request().hash == "eb9ce1d8e8789062"  # as it was before there were `about`, `body` and `schema`


def test_a_schema_is_no_part_of_the_name() -> None:
    assert request(schema={"name": "x", "schema": {}}).hash == request().hash


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": None},
        {"model": "o"},
        {"temperature": None},
        {"n": 1},
        {"about": {"order": 1}},
        {"body": {"seed": 1}},
    ],
)
def test_everything_else_is(changes: dict[str, Any]) -> None:
    assert request(**changes).hash != request().hash


def test_what_is_none_is_not_sent() -> None:
    sent = request(temperature=None, max_tokens=None, body={"max_completion_tokens": 9}, about={"order": 1}).sent
    assert set(sent) == {"model", "messages", "max_completion_tokens"}


def test_what_is_said_about_a_request_stands_in_place_of_its_messages() -> None:
    assert "messages" in request().kept
    assert "messages" not in request(about={"order": 1}).kept
