import gzip
import json
from pathlib import Path

import pytest

from tasks.evaluation.pairs import MinimalPair, read_pairs
from tasks.stage import UserError


def write(path: Path, count: int) -> Path:
    text = "".join(
        json.dumps({"good": f"g{n}", "bad": f"b{n}", "phenomenon": "agreement"}) + "\n" for n in range(count)
    )
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.jsonl.gz"])
def test_pairs_are_read_evenly_spread(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, 10)
    assert len(read_pairs(path, most=100)) == 10
    assert [pair.good for pair in read_pairs(path, most=4)] == ["g0", "g2", "g5", "g7"]
    assert read_pairs(path, most=1) == [MinimalPair(good="g0", bad="b0", phenomenon="agreement")]


@pytest.mark.parametrize("line", ['{"good": "a"}', "[1]", "{", "null", '{"good": 1, "bad": "b"}'])
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"good": "a", "bad": "b"}\n' + line + "\n")
    with pytest.raises(UserError, match=r"pairs\.jsonl:2: .*good.*bad"):
        read_pairs(path, most=9)


def test_bytes_that_are_no_text_or_no_gzip_are_one_line(tmp_path: Path) -> None:
    latin, cut = tmp_path / "latin.jsonl", write(tmp_path / "cut.jsonl.gz", 500)
    latin.write_bytes(b'{"good": "caf\xe9", "bad": "b"}\n')
    cut.write_bytes(cut.read_bytes()[:-20])
    for path in (latin, cut):
        with pytest.raises(UserError, match=path.name):
            read_pairs(path, most=9)


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    for name, said in (("none.jsonl", "no such file"), ("empty.jsonl", "holds no pair")):
        with pytest.raises(UserError, match=f"{name}: {said}"):
            read_pairs(tmp_path / name, most=9)
