"""Each kind of source read well, and each kind of bad input told with its place."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.sources import BadRecords, FilesSource
from tasks.stage import UserError
from tests.conftest import refused

pytestmark = pytest.mark.usefixtures("workspace")

LIMIT = 10_000


def source(*globs: str, **more: Any) -> FilesSource:
    return FilesSource(name="own", weight=1.0, kind="files", globs=globs, licence="CC0-1.0", **more)


def read(file: str, *, stop: bool = True, **more: Any) -> tuple[list[str], list[dict[str, str | int]]]:
    bad = BadRecords(stop=stop, limit_bytes=LIMIT)
    return [record.text for record in source(file, **more).read(bad)], bad.found


def json_lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


TWO = ["One day.\nIt rained.", "Häj \U0001f600"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", json_lines(*({"text": text} for text in TWO)) + b"\n \n"),
        ("a.jsonl.gz", gzip.compress(json_lines(*({"text": text} for text in TWO)), mtime=0)),
        ("a.csv", 'id,text\n1,"One day.\nIt rained."\n2,Häj \U0001f600\n'.encode()),
        ("a.csv.gz", gzip.compress('\ufefftext\n"One day.\nIt rained."\nHäj \U0001f600\n'.encode(), mtime=0)),
        ("a.txt", "\ufeffOne day.\nIt rained.\n---\n\n---\nHäj \U0001f600\n---\n".encode()),
        ("a.txt.gz", gzip.compress("One day.\nIt rained.\n---\nHäj \U0001f600".encode(), mtime=0)),
    ],
)
def test_every_kind_of_file_gives_the_same_texts(name: str, content: bytes) -> None:
    Path(name).write_bytes(content)
    assert read(name, separator="---") == (TWO, [])


def test_parquet_with_a_column_of_its_own() -> None:
    pq.write_table(pa.table({"story": TWO, "n": [1, 2]}), "a.parquet")
    assert read("a.parquet", column="story") == (TWO, [])


def test_a_text_file_is_one_document_or_cut_at_empty_lines() -> None:
    Path("a.txt").write_text("one\ntwo\n\nthree\n")
    assert read("a.txt")[0] == ["one\ntwo\n\nthree"]
    assert read("a.txt", separator="")[0] == ["one\ntwo", "three"]


def test_long_texts_are_cut_between_paragraphs_and_nothing_is_lost() -> None:
    paragraphs = [" ".join(f"p{n}w{k}" for k in range(1 + n % 7)) for n in range(40)]
    Path("a.txt").write_text("\n\n".join(paragraphs))
    passages = read("a.txt", passage_words=12)[0]
    assert max(len(passage.split()) for passage in passages) <= 12
    assert "\n\n".join(passages) == "\n\n".join(paragraphs)


def test_globs_are_read_in_one_order_and_each_must_match() -> None:
    Path("in").mkdir()
    for name in ("b", "a"):
        Path(f"in/{name}.txt").write_text(name)
    assert read("in/*.txt")[0] == ["a", "b"]
    with refused(r"source 'own': no file matches 'in/\*\.csv'"):
        read("in/*.csv")


BAD_LINES: list[tuple[str, bytes, str]] = [
    ("broken UTF-8", b'{"text": "caf\xe9"}', "not UTF-8 at byte 13"),
    ("cut", b'{"text": "One d', "not valid JSON"),
    ("no object", b'["One day"]', "expected an object"),
    ("null", b"null", "expected an object"),
    ("other field", b'{"Text": "a"}', "no field 'text'; there is 'Text'"),
    ("no field", b"{}", "there is none"),
    ("number", b'{"text": 42}', "must be text, got int"),
    ("list", b'{"text": ["a"]}', "must be text, got list"),
    ("null text", b'{"text": null}', "must be text, got NoneType"),
    ("blank", b'{"text": " \\n\\t "}', "is empty"),
    ("half a pair", b'{"text": "a\\ud800"}', "surrogate"),
    ("huge line", b'{"text": "' + b"a" * LIMIT + b'"}', "longer than ingest.max_record_bytes"),
    ("huge number", b'{"n": ' + b"9" * 5_000 + b"}", "can't be read"),
    ("deep", b"[" * 9_000, ""),
]


@pytest.mark.parametrize(("line", "said"), [row[1:] for row in BAD_LINES], ids=[row[0] for row in BAD_LINES])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_a_bad_line_is_named_or_kept_apart(line: bytes, said: str, pack: Callable[[bytes], bytes]) -> None:
    name = "a.jsonl" if pack is bytes else "a.jsonl.gz"
    Path(name).write_bytes(pack(json_lines({"text": "first"}) + line + b"\n" + json_lines({"text": "third"})))
    with pytest.raises(UserError) as caught:
        read(name)
    assert str(caught.value).startswith(f"{name}:2: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    texts, found = read(name, stop=False)
    assert texts == ["first", "third"]
    assert [(entry["file"], entry["line"]) for entry in found] == [(name, 2)]
    assert said in str(found[0]["problem"])


def test_a_huge_line_of_a_gz_file_is_never_in_memory_whole() -> None:
    import tracemalloc

    with gzip.open("a.jsonl.gz", "wb") as file:
        for _ in range(64):
            file.write(b"a" * 1_000_000)
        file.write(b"\n" + json_lines({"text": "after it"}))
    tracemalloc.start()
    texts, found = read("a.jsonl.gz", stop=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert texts == ["after it"]
    assert [entry["line"] for entry in found] == [1]
    assert peak < 8_000_000


def test_bad_bytes_in_a_text_file_are_named_or_left_out() -> None:
    Path("a.txt").write_bytes(b"one\ncaf\xe9\nthree\n")
    with refused(r"^a\.txt:2: not UTF-8 at byte 3"):
        read("a.txt")
    assert read("a.txt", stop=False)[0] == ["one\nthree"]


def broken_gz(content: bytes) -> bytes:
    packed = bytearray(gzip.compress(content, mtime=0))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed)


MANY = json_lines(*({"text": f"story {n * 7919 % 1009}"} for n in range(2_000)))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cut.jsonl.gz", gzip.compress(MANY, mtime=0)[:-500], r"cut\.jsonl\.gz:\d+: not a whole gzip file"),
        ("flipped.jsonl.gz", broken_gz(MANY), r"flipped\.jsonl\.gz:\d+: not (a whole gzip file|valid JSON)"),
        ("no.jsonl.gz", b"no gzip at all", r"no\.jsonl\.gz:1: not a whole gzip file"),
        ("a.doc", b"x", r"a\.doc: unknown kind of file; allowed: \.txt"),
        ("a.csv", b"text\n\"open", r"a\.csv:2: not valid CSV"),
        ("b.csv", b"text\nok\ncaf\xe9\n", r"b\.csv:3: not UTF-8"),
        ("c.csv", b"story\na\n", r"c\.csv:2: no field 'text'; there is 'story'"),
        ("d.csv", b"text\n" + b"a" * (LIMIT - 10) + b"\n" + b"a" * 2 * LIMIT + b"\n", r"d\.csv:3: .*max_record_bytes"),
        ("a.parquet", b"PAR1 and no more", r"a\.parquet: not a Parquet file"),
        ("empty.parquet", b"", r"empty\.parquet: not a Parquet file"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_its_name_says(name: str, content: bytes, said: str) -> None:
    Path(name).write_bytes(content)
    with refused(said):
        read(name)


def test_a_parquet_file_without_the_column_says_which_there_are() -> None:
    pq.write_table(pa.table({"story": ["a"], "n": [1]}), "a.parquet")
    with refused(r"a\.parquet: no column 'text'; there is 'story', 'n'"):
        read("a.parquet")


def test_a_folder_with_a_files_name_is_one_line() -> None:
    Path("a.txt").mkdir()
    with refused(r"a\.txt: can't be read: Is a directory"):
        read("a.txt")


@pytest.mark.skipif(os.geteuid() == 0, reason="missing on this machine: a user who is not root")
def test_a_file_that_may_not_be_read_is_one_line() -> None:
    Path("a.txt").write_text("secret")
    Path("a.txt").chmod(0)
    with refused(r"a\.txt: can't be read: Permission denied"):
        read("a.txt")


# the files that lie beside the project, where they do


def test_dirty_files_of_lines_are_sorted_apart_and_the_rest_is_read(dirty: Path) -> None:
    for name in ("wrong_fields.jsonl", "truncated.jsonl", "broken_utf8.txt", "huge_line.jsonl.gz"):
        bad = BadRecords(stop=False, limit_bytes=1_000_000)
        texts = list(source(str(dirty / name), separator="").read(bad))
        assert texts, name
        assert bad.found, name
        with refused(rf"{name}:{bad.found[0]['line']}: "):
            list(source(str(dirty / name)).read(BadRecords(stop=True, limit_bytes=1_000_000)))


def test_dirty_broken_bytes_are_found_on_the_lines_that_are_known(dirty: Path) -> None:
    key = [json.loads(line) for line in (dirty / "answer_key.jsonl").read_text().splitlines()]
    expected = {row["line"] for row in key if row["file"] == "broken_utf8.txt"}
    bad = BadRecords(stop=False, limit_bytes=1_000_000)
    list(source(str(dirty / "broken_utf8.txt")).read(bad))
    assert expected <= {entry["line"] for entry in bad.found} | undetectable(dirty / "broken_utf8.txt", expected)


def undetectable(file: Path, lines: set[int]) -> set[int]:
    """Of the lines, those that are valid UTF-8 after all (a replacement character written as one, say)."""
    content = file.read_bytes().split(b"\n")
    return {line for line in lines if content[line - 1].decode(errors="ignore").encode() == content[line - 1]}
