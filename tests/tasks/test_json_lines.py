"""JSON Lines: each value with its number, each mistake in one line that names where it is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from tasks.json_lines import json_object, read_lines
from tasks.stage import UserError


class Fruit(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


def test_lines_are_numbered_and_blank_ones_passed_over(tmp_path: Path) -> None:
    text = '{"a": 1}\n\n  \n{"a": "next line\u0085 and \u2028 are no ends of one"}\r\n{"a": 3}'
    (tmp_path / "a.jsonl").write_bytes(text.encode())
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    plain, packed = (list(read_lines(tmp_path / name, json_object, what="it")) for name in ("a.jsonl", "a.jsonl.gz"))
    assert [number for number, _ in plain] == [1, 4, 5]
    assert plain == packed
    assert plain[1][1] == {"a": "next line\u0085 and \u2028 are no ends of one"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "not a fruit: Invalid JSON: EOF"),
        (b'{"name": 1}', "not a fruit: name: Input should be a valid string"),
        (b'{"name": "\xff"}', "not a fruit: Invalid JSON: invalid unicode"),
        (b"[" * 100_000, "not a fruit: Invalid JSON: recursion limit"),
    ],
)
def test_a_line_that_the_model_refuses_is_named(tmp_path: Path, line: bytes, told: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"name": "pear"}\n' + line + b"\n")
    with pytest.raises(UserError) as refused:
        list(read_lines(tmp_path / "a.jsonl", Fruit.model_validate_json, what="a fruit"))
    assert str(refused.value).startswith(f"{tmp_path / 'a.jsonl'}:2: {told}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "a.jsonl:1: not a name: Expecting property name"),
        (b'["pear"]', "a.jsonl:1: not a name: it is a list"),
        (b"{}", "a.jsonl:1: not a name: 'name' is missing"),
        (b"\xff", "a.jsonl:1: not a name: 'utf-8' codec"),
        (b"[" * 100_000, "a.jsonl:1: not a name: maximum recursion depth"),
    ],
)
def test_a_line_that_a_function_refuses_is_named(tmp_path: Path, line: bytes, told: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(line)
    with pytest.raises(UserError) as refused:
        list(read_lines(tmp_path / "a.jsonl", lambda line: json_object(line)["name"], what="a name"))
    assert told in str(refused.value)


@pytest.mark.parametrize("name", ["none.jsonl", "cut.jsonl.gz", "no.jsonl.gz", "folder.jsonl"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps({"name": "pear " * 999}).encode(), mtime=0)[:40])
    (tmp_path / "no.jsonl.gz").write_bytes(b"{}\n")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(UserError, match=rf"{name}: can't be read: \w+"):
        list(read_lines(tmp_path / name, json_object, what="an object"))
