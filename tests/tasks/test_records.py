import hashlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.records import ROWS_IN_A_GROUP, SCHEMA, Record, RecordWriter, read_rows, write_records
from tests.conftest import records


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    record = Record(
        text="Häj \u2028 \U0001f600",
        source="a",
        licence="CC0-1.0",
        group="g",
        split="written",
        weight=0.5,
        annotations='{"a": 1}',
    )
    assert write_records(tmp_path / "new" / "r.parquet", [record]) == 1
    assert list(read_rows(tmp_path / "new" / "r.parquet")) == [{name: getattr(record, name) for name in SCHEMA.names}]


def test_id_is_the_start_of_the_texts_hash() -> None:
    [record] = records(["One day."])
    assert record.id == hashlib.sha256(b"One day.").hexdigest()[:16]


def test_rows_are_streamed_in_groups(tmp_path: Path) -> None:
    count = 2 * ROWS_IN_A_GROUP + 1
    write_records(tmp_path / "r.parquet", (record for record in records(str(n) for n in range(count))))
    with pq.ParquetFile(tmp_path / "r.parquet") as file:
        assert file.num_row_groups == 3
    assert [row["text"] for row in read_rows(tmp_path / "r.parquet", ["text"])] == [str(n) for n in range(count)]


def test_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_records(tmp_path / name, records(map(str, range(50))))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    write_records(path, records(["the earlier one"]))
    with pytest.raises(RuntimeError, match="in the middle"), RecordWriter(path) as writer:  # noqa: PT012
        writer.write({"text": "half"})
        raise RuntimeError("in the middle")
    assert [row["text"] for row in read_rows(path)] == ["the earlier one"]
    assert [found.name for found in tmp_path.iterdir()] == ["r.parquet"]


def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    write_records(path, records(["the earlier one"]))
    (tmp_path / "r.parquet.partial").symlink_to("/dev/full")  # a device on which every write is one too many
    with pytest.raises(OSError, match="No space left"):
        write_records(path, records(str(n) * 400 for n in range(3 * ROWS_IN_A_GROUP)))
    assert [row["text"] for row in read_rows(path)] == ["the earlier one"]
    assert [found.name for found in tmp_path.iterdir()] == ["r.parquet"]
