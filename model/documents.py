"""Token files, written and read: documents as flat ids on disk, conversations with what is taught of them.

Of a split: SPLIT.bin (little-endian ids, uint16 or uint32), and as NumPy arrays SPLIT.offsets.npy (int64, D + 1),
.weights.npy (float32, D) and .bytes.npy (int64, D); of conversations .taught.npy (uint8, N) and .tasks.npy (int16, D)
too. meta.json tells of all splits: dtype, vocabulary_size, end_id, splits, of conversations the names of the tasks.

Letters: D documents of a split, N tokens of a split. No torch here: the stages that write the files do without.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

IGNORE = -100  # a target that no loss counts: padding, a prompt
LARGEST_SMALL_VOCABULARY = 1 << 16  # up to here two bytes hold an id


@dataclass(frozen=True)
class Documents:
    """One split of the token files, memory-mapped. Document d is tokens[offsets[d]:offsets[d + 1]], its end included.

    tokens: (N,), uint16 or uint32; offsets: (D + 1,), int64; weights: (D,), float32, expected appearances in an epoch;
    bytes: (D,), int64, UTF-8 bytes of each text; taught: (N,), bool, whether a token is a target (of a conversation,
    the answers), None where all are; tasks: (D,), int16, the task of each conversation, None where there are none.
    """

    tokens: npt.NDArray[np.unsignedinteger]
    offsets: Ints
    weights: npt.NDArray[np.float32]
    bytes: Ints
    end_id: int
    taught: npt.NDArray[np.bool_] | None = None
    tasks: npt.NDArray[np.int16] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def document(self, index: int) -> Ints:
        """The token ids of one document, the end token last."""
        return self.tokens[self.offsets[index] : self.offsets[index + 1]].astype(np.int64)

    def targets(self, index: int) -> Ints:
        """What is learnt of one document: its token ids, `IGNORE` where a token is not taught."""
        ids = self.document(index)
        if self.taught is None:
            return ids
        return np.where(self.taught[self.offsets[index] : self.offsets[index + 1]], ids, IGNORE)


def read_documents(folder: Path, split: str) -> Documents:
    """Open a split of the token files. Raises ValueError naming the file that is missing or does not fit."""
    meta = _read_meta(folder)
    if split not in meta["splits"]:
        known = ", ".join(sorted(meta["splits"]))
        raise ValueError(f"{folder / 'meta.json'} has no split {split!r}; there are {known}")
    try:
        tokens = np.memmap(folder / f"{split}.bin", dtype=np.dtype(meta["dtype"]).newbyteorder("<"), mode="r")
        offsets = np.load(folder / f"{split}.offsets.npy", allow_pickle=False)
        weights = np.load(folder / f"{split}.weights.npy", allow_pickle=False)
        sizes = np.load(folder / f"{split}.bytes.npy", allow_pickle=False)
        taught, tasks = (_load_if_there(folder / f"{split}.{name}.npy") for name in ("taught", "tasks"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the split {split!r} in {folder} cannot be read: {error}") from error
    if not len(offsets) - 1 == len(weights) == len(sizes) or (len(offsets) > 1 and offsets[-1] != len(tokens)):
        raise ValueError(
            f"{folder / split}.*: {len(offsets) - 1} documents, {len(weights)} weights, {len(sizes)} sizes and "
            f"{len(tokens)} tokens do not fit: run the stage tokenize again"
        )
    for name, values, length in (("taught", taught, len(tokens)), ("tasks", tasks, len(weights))):
        if values is not None and len(values) != length:
            raise ValueError(f"{folder / split}.{name}.npy: {len(values)} entries for {length}: make the files again")
    return Documents(
        tokens=tokens,
        offsets=offsets,
        weights=weights,
        bytes=sizes,
        end_id=int(meta["end_id"]),
        taught=None if taught is None else taught.astype(np.bool_),
        tasks=tasks,
    )


def _load_if_there(path: Path) -> npt.NDArray[Any] | None:
    return np.load(path, allow_pickle=False) if path.exists() else None


def vocabulary_size(folder: Path) -> int:
    """The vocabulary that the token files were written with."""
    return int(_read_meta(folder)["vocabulary_size"])


def task_names(folder: Path) -> list[str]:
    """The tasks of a mixture's token files, in the order of their indices."""
    names = _read_meta(folder).get("tasks")
    if not isinstance(names, list):
        raise ValueError(f"{folder / 'meta.json'} names no tasks: it describes no mixture")
    return [str(name) for name in names]


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / "meta.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        for key in ("dtype", "vocabulary_size", "end_id", "splits"):
            meta[key]
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no description of token files: {error!r}") from error
    return cast(dict[str, Any], meta)


@dataclass(frozen=True, slots=True)
class Document:
    """A document to be written. ids: its end token last; weight: expected appearances in an epoch; size: UTF-8 bytes
    of its text. Of a conversation, taught: whether each id is a target; task: index into meta.json's "tasks".
    """

    ids: Sequence[int] | npt.NDArray[np.integer]
    weight: float
    size: int
    taught: Sequence[bool] | npt.NDArray[np.bool_] = ()
    task: int = 0


def token_dtype(vocabulary_size: int) -> np.dtype[np.unsignedinteger]:
    """What ids of a vocabulary are written as."""
    return np.dtype("<u2" if vocabulary_size <= LARGEST_SMALL_VOCABULARY else "<u4")


def write_documents(
    folder: Path,
    split: str,
    documents: Iterable[Document],
    *,
    dtype: np.dtype[np.unsignedinteger],
    conversations: bool,
) -> dict[str, int]:
    """Write a split as `read_documents` reads it, its ids as they come; its sizes, for meta.json.

    conversations: write what is taught and the tasks too. Sizes: documents, tokens, bytes; of conversations
    taught_tokens too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lengths: list[int] = []
    weights: list[float] = []
    sizes: list[int] = []
    taught = [np.empty(0, np.uint8)]
    tasks: list[int] = []
    with (folder / f"{split}.bin").open("wb") as file:
        for document in documents:
            file.write(np.asarray(document.ids, dtype=dtype).tobytes())
            lengths.append(len(document.ids))
            weights.append(document.weight)
            sizes.append(document.size)
            if conversations:
                taught.append(np.asarray(document.taught, dtype=np.uint8))
                tasks.append(document.task)
    arrays: dict[str, npt.NDArray[Any]] = {
        "offsets": np.cumsum([0, *lengths], dtype=np.int64),
        "weights": np.asarray(weights, dtype=np.float32),
        "bytes": np.asarray(sizes, dtype=np.int64),
    }
    if conversations:
        arrays |= {"taught": np.concatenate(taught), "tasks": np.asarray(tasks, dtype=np.int16)}
    for name, values in arrays.items():
        np.save(folder / f"{split}.{name}.npy", values)
    told = {"documents": len(lengths), "tokens": sum(lengths), "bytes": sum(sizes)}
    return told | ({"taught_tokens": int(arrays["taught"].sum())} if conversations else {})
