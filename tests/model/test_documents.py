"""Token files: what is written is read back, its bytes are as the contract says, and what does not fit is told."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.documents import IGNORE, Document, read_documents, task_names, token_dtype, write_documents
from tests.model import small

TOLD = [([5, 6, 7, 0], [False, True, True, False]), ([8, 0], [True, False]), ([9, 400, 0], [False, True, False])]


def documents() -> Iterator[Document]:
    for at, (ids, taught) in enumerate(TOLD):
        yield Document(ids=ids, weight=0.5 + at, size=10 * at, taught=taught, task=at % 2)


def folder_of(path: Path, vocabulary_size: int = 500) -> Path:
    """A folder whose meta.json speaks of one split, `train`."""
    dtype = token_dtype(vocabulary_size).name
    told = f'{{"dtype": "{dtype}", "vocabulary_size": {vocabulary_size}, "end_id": 0, "splits": {{"train": {{}}}}}}'
    (path / "meta.json").write_text(told)
    return path


@pytest.mark.parametrize(("vocabulary", "dtype"), [(500, "<u2"), (1 << 16, "<u2"), ((1 << 16) + 1, "<u4")])
def test_conversations_are_read_back_as_they_were_written(tmp_path: Path, vocabulary: int, dtype: str) -> None:
    folder = folder_of(tmp_path, vocabulary)
    assert token_dtype(vocabulary) == np.dtype(dtype)
    sizes = write_documents(folder, "train", documents(), dtype=token_dtype(vocabulary), conversations=True)
    assert sizes == {"documents": 3, "tokens": 9, "bytes": 30, "taught_tokens": 4}
    found = read_documents(folder, "train")
    assert [found.document(at).tolist() for at in range(len(found))] == [ids for ids, _ in TOLD]
    assert found.targets(0).tolist() == [IGNORE, 6, 7, IGNORE]
    assert (found.weights.tolist(), found.bytes.tolist()) == ([0.5, 1.5, 2.5], [0, 10, 20])
    assert found.tasks is not None
    assert found.tasks.tolist() == [0, 1, 0]


def test_the_bytes_are_those_of_whole_arrays(tmp_path: Path) -> None:
    """Each file as NumPy writes the array that it holds: a run's key and DVC go by these bytes."""
    write_documents(tmp_path, "train", documents(), dtype=token_dtype(500), conversations=True)
    arrays = {
        "offsets": np.array([0, 4, 6, 9], dtype=np.int64),
        "weights": np.array([0.5, 1.5, 2.5], dtype=np.float32),
        "bytes": np.array([0, 10, 20], dtype=np.int64),
        "taught": np.array([flag for _, flags in TOLD for flag in flags], dtype=np.uint8),
        "tasks": np.array([0, 1, 0], dtype=np.int16),
    }
    for name, values in arrays.items():
        np.save(tmp_path / "expected.npy", values)
        assert (tmp_path / f"train.{name}.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes(), name
    flat = np.array([token for ids, _ in TOLD for token in ids], dtype="<u2")
    assert (tmp_path / "train.bin").read_bytes() == flat.tobytes()


def test_text_has_no_files_of_what_is_taught_and_may_hold_nothing(tmp_path: Path) -> None:
    sizes = write_documents(tmp_path, "train", documents(), dtype=token_dtype(500), conversations=False)
    assert sizes == {"documents": 3, "tokens": 9, "bytes": 30}
    names = {"train.bin", "train.offsets.npy", "train.weights.npy", "train.bytes.npy"}
    assert {path.name for path in tmp_path.iterdir()} == names
    empty = write_documents(tmp_path, "empty", [], dtype=token_dtype(500), conversations=True)
    assert empty == {"documents": 0, "tokens": 0, "bytes": 0, "taught_tokens": 0}
    assert np.load(tmp_path / "empty.offsets.npy").tolist() == [0]
    assert len(np.load(tmp_path / "empty.taught.npy")) == len(np.load(tmp_path / "empty.tasks.npy")) == 0


def test_files_that_do_not_fit_each_other_are_one_clear_line(tmp_path: Path) -> None:
    tokens = small.write_tokens(tmp_path)
    with pytest.raises(ValueError, match="no split 'dev'; there are train, validation"):
        read_documents(tokens, "dev")
    np.save(tokens / "train.weights.npy", np.ones(3, dtype=np.float32))
    with pytest.raises(ValueError, match="200 documents, 3 weights, 200 sizes"):
        read_documents(tokens, "train")
    (tokens / "meta.json").unlink()
    with pytest.raises(ValueError, match=r"meta.json cannot be read: No such file"):
        read_documents(tokens, "train")


def test_flags_that_do_not_fit_the_tokens_are_one_clear_line(tmp_path: Path) -> None:
    tokens = small.write_tokens(tmp_path)
    np.save(tokens / "train.taught.npy", np.ones(5, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"train\.taught\.npy: 5 entries for \d+: make the files again"):
        read_documents(tokens, "train")
    (tokens / "train.taught.npy").unlink()
    np.save(tokens / "train.tasks.npy", np.zeros(3, dtype=np.int16))
    with pytest.raises(ValueError, match=r"train\.tasks\.npy: 3 entries for 200: make the files again"):
        read_documents(tokens, "train")
    with pytest.raises(ValueError, match="names no tasks: it describes no mixture"):
        task_names(tokens)
