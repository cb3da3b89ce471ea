"""Signatures, the search on disk, components."""

import random
from pathlib import Path

import numpy as np
import pytest

from tasks.cleaning import duplicates
from tasks.cleaning.duplicates import Components, SignatureStore, sign
from tasks.cleaning.words import hash_words, ngrams, split_words, text_hash
from tasks.prepare import PrepareParams

WORDS = list("abcdefghijklmnopqrst")


def store_of(folder: Path, texts: list[str], params: PrepareParams) -> SignatureStore:
    words = [split_words(text) for text in texts]
    store = SignatureStore(folder, params.duplicates.bands)
    for start in range(0, len(words), 7):  # in batches, as the stage adds them
        part = words[start : start + 7]
        shingles = ngrams(hash_words(part), params.duplicates.shingle_words)
        store.add(sign(shingles, np.array([text_hash(w) for w in part], np.uint64), params.duplicates))
    return store


def jaccard(a: str, b: str, n: int) -> float:
    one, other = ({tuple(w[i : i + n]) for i in range(len(w) - n + 1)} for w in (split_words(a), split_words(b)))
    return len(one & other) / len(one | other)


@pytest.fixture
def texts() -> list[str]:
    rng = random.Random(3)  # noqa: S311 -- texts, not secrets
    originals = [" ".join(rng.choice(WORDS) for _ in range(120)) for _ in range(60)]
    near = [" ".join("fox" if i in (17, 58, 90) else w for i, w in enumerate(t.split())) for t in originals[:20]]
    exact = [t.upper().replace(" ", ", ") for t in originals[20:30]]
    return originals + near + exact


@pytest.mark.parametrize("keys_at_once", [4_000_000, 13])
def test_every_planted_twin_is_found_with_its_real_jaccard(
    tmp_path: Path, texts: list[str], params: PrepareParams, monkeypatch: pytest.MonkeyPatch, keys_at_once: int
) -> None:
    monkeypatch.setattr(duplicates, "_KEYS_AT_ONCE", keys_at_once)  # 13: a band is joined in slices
    with store_of(tmp_path, texts, params) as store:
        found = {(t.first, t.second): t for t in store.twins(0.5, known=lambda a, b: False)}
    assert set(found) == {(i, 60 + i) for i in range(20)} | {(20 + i, 80 + i) for i in range(10)}
    assert all(found[20 + i, 80 + i].exact for i in range(10))
    for (a, b), twins in found.items():
        assert twins.jaccard == pytest.approx(jaccard(texts[a], texts[b], params.duplicates.shingle_words))


def test_nothing_in_nothing_out(tmp_path: Path, params: PrepareParams) -> None:
    with SignatureStore(tmp_path, params.duplicates.bands) as store:
        assert list(store.twins(0.5, known=lambda a, b: False)) == []


def test_a_component_is_known_by_its_least() -> None:
    components = Components(lambda thing: -thing)  # the highest number ranks first
    components.join(1, 2)
    components.join(5, 2)
    components.join(7, 8)
    assert [components.find(x) for x in (1, 2, 5, 7, 8, 9)] == [5, 5, 5, 8, 8, 9]
    assert sorted(components.joined()) == [1, 2, 7]
