"""Exact and near duplicates: MinHash signatures (rensa), their bands joined on disk, candidates verified.

What grows with the corpus lies on disk: 64-bit keys, one file a band, and each text's shingles. One band's
keys (8 bytes a text), or a slice of them, are in memory at a time.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tasks.cleaning.words import Grams, Hashes, distinct_sorted
from tasks.stage import Params

Pairs = NDArray[np.int64]

_KEYS_AT_ONCE = 4_000_000  # of a band, in memory
_PAIRS_REMEMBERED = 2_000_000  # candidates that are not verified twice
_MIX = np.uint64(0xFF51AFD7ED558CCD)


class DuplicateParams(Params):
    """Shingles of `shingle_words` words; bands of `rows` of the signature's values.

    From reject_jaccard upwards the later of two texts goes; from cluster_jaccard both stay on one side of
    the split.
    """

    shingle_words: int = Field(ge=1)
    bands: int = Field(ge=1)
    rows: int = Field(ge=1)
    seed: int = Field(ge=0)
    reject_jaccard: float = Field(gt=0, le=1)
    cluster_jaccard: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> "DuplicateParams":
        if self.cluster_jaccard > self.reject_jaccard:
            raise ValueError(f"cluster_jaccard={self.cluster_jaccard} is above reject_jaccard={self.reject_jaccard}")
        return self


@dataclass(frozen=True, kw_only=True)
class Signatures:
    """What the search needs of N texts. bands: (N, bands) keys; shingles: each text's, sorted and distinct."""

    exact: Hashes  # (N,)
    bands: Hashes
    shingles: NDArray[np.uint32]
    counts: NDArray[np.int64]  # (N,) of shingles


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Two texts by their position in the store and their Jaccard similarity; `exact`: equal words."""

    first: int
    second: int
    jaccard: float
    exact: bool


def sign(shingles: Grams, exact: Hashes, params: DuplicateParams) -> Signatures:
    """Signatures of N texts from their shingles' hashes and the hash of their words."""
    from rensa import RMinHash

    texts = len(shingles.counts)
    size = params.bands * params.rows
    if texts:
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(shingles.values, shingles.offsets, size, params.seed)
        values = np.array(matrix.to_rows(), np.uint64).reshape(texts, params.bands, params.rows)
    else:
        values = np.empty((0, params.bands, params.rows), np.uint64)
    keys = np.zeros((texts, params.bands), np.uint64)
    for row in range(params.rows):
        keys = (keys ^ values[:, :, row]) * _MIX
        keys ^= keys >> np.uint64(32)
    flat, counts = _distinct(shingles)
    return Signatures(exact=exact, bands=keys, shingles=flat, counts=counts)


def _distinct(shingles: Grams) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Each text's shingles as sorted distinct 32-bit values, and how many."""
    keys = (shingles.owners.astype(np.uint64) << np.uint64(32)) | (shingles.values >> np.uint64(32))
    keys = distinct_sorted(keys)
    counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(shingles.counts))
    return keys.astype(np.uint32), counts.astype(np.int64)


class SignatureStore:
    """Signatures on disk in the order they are added; a context, which closes its files."""

    def __init__(self, folder: Path, bands: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = [folder / f"band{i}.keys" for i in range(bands)]
        self._exact_path = folder / "exact.keys"
        self._bands = [path.open("wb") for path in self._paths]
        self._exact = self._exact_path.open("wb")
        self._shingles = (folder / "shingles").open("wb+")
        self._counts = (folder / "counts").open("wb+")
        self.texts = 0

    def __enter__(self) -> "SignatureStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (*self._bands, self._exact, self._shingles, self._counts):
            file.close()

    def add(self, signatures: Signatures) -> None:
        """Appends N texts."""
        for band, file in enumerate(self._bands):
            file.write(np.ascontiguousarray(signatures.bands[:, band]).tobytes())
        self._exact.write(signatures.exact.tobytes())
        self._shingles.write(signatures.shingles.tobytes())
        self._counts.write(signatures.counts.tobytes())
        self.texts += len(signatures.exact)

    def twins(self, threshold: float, *, known: Callable[[int, int], bool]) -> Iterator[Twins]:
        """Every verified pair from `threshold` upwards, exact ones first.

        A band's bucket of k texts gives at most 2 k candidates: each with the bucket's first and with the one
        before. `known(a, b)`: the pair is decided already and need not be verified.
        """
        for file in (*self._bands, self._exact, self._shingles, self._counts):
            file.flush()
        copies = np.zeros(self.texts, np.bool_)
        for pairs in self._candidates(self._exact_path, ~copies, neighbours=False):
            copies[pairs[:, 1]] = True
            for first, second in pairs.tolist():
                yield Twins(first=first, second=second, jaccard=1.0, exact=True)
        yield from self._near_twins(threshold, ~copies, known=known)

    def _near_twins(
        self, threshold: float, active: NDArray[np.bool_], *, known: Callable[[int, int], bool]
    ) -> Iterator[Twins]:
        self._counts.seek(0)
        counts = np.frombuffer(self._counts.read(), np.int64)
        starts = np.concatenate([[0], np.cumsum(counts)])
        seen = np.empty(0, np.int64)
        for path in self._paths:
            for pairs in self._candidates(path, active, neighbours=True):
                codes = distinct_sorted(pairs[:, 0] * self.texts + pairs[:, 1])
                codes = codes[~np.isin(codes, seen)]
                if len(seen) < _PAIRS_REMEMBERED:
                    seen = np.concatenate([seen, codes])
                small, large = np.sort(counts[np.stack([codes // self.texts, codes % self.texts])], axis=0)
                for code in codes[small >= threshold * large].tolist():
                    first, second = divmod(code, self.texts)
                    if known(first, second):
                        continue
                    jaccard = _jaccard(self._read(starts, first), self._read(starts, second))
                    if jaccard >= threshold:
                        yield Twins(first=first, second=second, jaccard=jaccard, exact=False)

    def _candidates(self, path: Path, active: NDArray[np.bool_], *, neighbours: bool) -> Iterator[Pairs]:
        """Pairs (lower, higher position) of active texts with equal keys, a slice of the keys at a time."""
        slices = 1 + self.texts // _KEYS_AT_ONCE
        keys = np.memmap(path, np.uint64, "r") if self.texts else np.empty(0, np.uint64)
        for part in range(slices):
            mine = np.flatnonzero(active & (keys % np.uint64(slices) == part)) if slices > 1 else np.flatnonzero(active)
            chosen = np.asarray(keys[mine])
            order = np.argsort(chosen, kind="stable")
            ranked, places = chosen[order], mine[order]
            same = np.flatnonzero(ranked[1:] == ranked[:-1]) + 1
            begins = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])) if len(ranked) else same
            heads = begins[np.searchsorted(begins, same, side="right") - 1]
            pairs = [np.stack([places[heads], places[same]], axis=1)]
            if neighbours:
                pairs.append(np.stack([places[same - 1], places[same]], axis=1))
            yield np.concatenate(pairs)

    def _read(self, starts: NDArray[np.int64], text: int) -> NDArray[np.uint32]:
        # read, not mapped: mapped pages would count as this process's memory
        size = int(starts[text + 1] - starts[text])
        return np.frombuffer(os.pread(self._shingles.fileno(), size * 4, int(starts[text]) * 4), np.uint32)


def _jaccard(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> float:
    both = np.concatenate([a, b])
    both.sort()
    shared = int(np.count_nonzero(both[1:] == both[:-1]))
    return shared / (len(both) - shared) if len(both) else 0.0


class Components:
    """Connected things, each found by the least of its component by the given rank (union-find)."""

    def __init__(self, rank: Callable[[int], object]) -> None:
        self._rank = rank
        self._parent: dict[int, int] = {}

    def find(self, thing: int) -> int:
        """The least of the component; a thing never joined is its own."""
        parent = self._parent
        while (above := parent.get(thing, thing)) != thing:
            parent[thing] = parent.get(above, above)
            thing = above
        return thing

    def join(self, a: int, b: int) -> None:
        """Makes one component of two."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return
        if self._rank(b) < self._rank(a):  # type: ignore[operator]
            a, b = b, a
        self._parent[b] = a

    def joined(self) -> Iterator[int]:
        """Everything that is not the least of its component."""
        return (thing for thing in self._parent if self.find(thing) != thing)
