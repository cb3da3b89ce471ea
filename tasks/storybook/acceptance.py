"""How wide the generated storybook is: the figures it is accepted on, beside those of other stories.

`python -m tasks.storybook.acceptance --stories 10000` prints a table and writes nothing;
`--stories-file X.jsonl.gz` prints the same figures for a file of stories with a `text` field.
"""

import argparse
import gzip
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path
from typing import Any

from tasks.storybook.generator import generate_stories
from tasks.storybook.story import Story

TEST_SHARE = 0.05
SHINGLE_WORDS = 5
LONG_WORDS = 13
NEAR = 0.5
BANDS, ROWS = 20, 4  # finds a pair at Jaccard .5 with probability 1 - (1 - .5^4)^20 = .72, at .7 with .997

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


@dataclass(frozen=True, slots=True)
class Sample:
    """A text, what must not straddle the split, and its labels by name (none where unknown)."""

    text: str
    group: str
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach."""

    least: float | None = None
    most: float | None = None

    def met_by(self, value: float) -> bool:
        """Whether the figure is accepted."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


BARS = {
    "word_types": Bar(least=2500),
    "test_13grams_in_train_share": Bar(most=0.30),
    "near_duplicate_share": Bar(most=0.10),
    "feeling_tfidf_accuracy": Bar(most=0.90),
    "theme_tfidf_accuracy": Bar(most=0.90),
}


def samples(stories: Iterable[Story]) -> list[Sample]:
    """Stories as samples: grouped by plan, labelled with feeling and theme."""
    return [
        Sample(story.text, story.plan or story.id, {"feeling": story.feeling, "theme": story.theme})
        for story in stories
    ]


def measure(found: Sequence[Sample]) -> dict[str, float]:
    """All figures of a list of samples. Labels are scored only where there are some."""
    words = numbered(sample.text for sample in found)
    tested = [_is_test(sample.group) for sample in found]
    figures: dict[str, float] = {
        "stories": len(found),
        "plans": len({sample.group for sample in found}),
        "mean_words": sum(map(len, words)) / max(1, len(words)),
        "word_types": len({word for story in words for word in story}),
        "test_13grams_in_train_share": _long_overlap(words, tested),
        "near_duplicate_share": near_duplicate_share(words),
    }
    for name in found[0].labels if found else ():
        labels = [sample.labels[name] for sample in found]
        figures[f"{name}_tfidf_accuracy"] = _label_accuracy([s.text for s in found], labels, tested)
    return figures


def _is_test(group: str) -> bool:
    digest = hashlib.sha256(f"acceptance {group}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < TEST_SHARE * 2**64


def numbered(texts: Iterable[str]) -> list[list[int]]:
    """The words of each text as numbers, the same for the same word (so that hashes repeat from run to run)."""
    numbers: dict[str, int] = {}
    return [[numbers.setdefault(word, len(numbers)) for word in _WORD.findall(text.lower())] for text in texts]


def _grams(words: Sequence[int], length: int) -> set[int]:
    return {hash(tuple(words[start : start + length])) for start in range(len(words) - length + 1)}


def _long_overlap(words: Sequence[Sequence[int]], tested: Sequence[bool]) -> float:
    """The share of the test stories' 13-grams, as often as they stand there, that stand in train."""
    train: set[int] = set()
    for story, test in zip(words, tested, strict=True):
        if not test:
            train |= _grams(story, LONG_WORDS)
    seen = total = 0
    for story, test in zip(words, tested, strict=True):
        if test:
            grams = _grams(story, LONG_WORDS)
            total += len(grams)
            seen += len(grams & train)
    return seen / max(1, total)


def near_duplicate_share(words: Sequence[Sequence[int]]) -> float:
    """The share of stories that have a near twin: Jaccard of word 5-grams of .5 or more (MinHash, then exact)."""
    shingles = [_grams(story, SHINGLE_WORDS) for story in words]
    twins: set[int] = set()
    for first, second in _candidates(shingles):
        shared = len(shingles[first] & shingles[second])
        if shared and shared / (len(shingles[first]) + len(shingles[second]) - shared) >= NEAR:
            twins |= {first, second}
    return len(twins) / max(1, len(words))


def _candidates(shingles: Sequence[set[int]]) -> set[tuple[int, int]]:
    """Pairs that share a band of their MinHash signatures."""
    import numpy as np

    random = np.random.default_rng(0)
    factors = random.integers(1, 2**63, size=(BANDS * ROWS, 1), dtype=np.uint64) | np.uint64(1)
    buckets: dict[tuple[int, bytes], list[int]] = {}
    for index, story in enumerate(shingles):
        if not story:
            continue
        values = np.fromiter(story, dtype=np.int64, count=len(story)).astype(np.uint64)
        signature = ((values[None, :] * factors) >> np.uint64(20)).min(axis=1)  # (BANDS * ROWS,)
        for band in range(BANDS):
            key = (band, signature[band * ROWS : (band + 1) * ROWS].tobytes())
            buckets.setdefault(key, []).append(index)
    return {pair for bucket in buckets.values() for pair in combinations(bucket, 2)}


def _label_accuracy(texts: Sequence[str], labels: Sequence[str], tested: Sequence[bool]) -> float:
    """Accuracy on the test split of TF-IDF (words, 1-2-grams) with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train = [index for index, test in enumerate(tested) if not test]
    test = [index for index, is_test in enumerate(tested) if is_test]
    if not test or not train:
        return float("nan")
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    features = vectorizer.fit_transform([texts[index] for index in train])
    model = LogisticRegression(C=10.0, max_iter=300).fit(features, [labels[index] for index in train])
    guesses = model.predict(vectorizer.transform([texts[index] for index in test]))
    right = sum(guess == labels[index] for guess, index in zip(guesses, test, strict=True))
    return float(right / len(test))


def read_samples(path: Path, *, limit: int) -> list[Sample]:
    """The first stories of a .jsonl or .jsonl.gz file with a `text` field; each is its own group."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        rows: Iterator[dict[str, Any]] = (json.loads(line) for line in islice(file, limit))
        return [Sample(row["text"], row.get("plan") or str(index), _labels(row)) for index, row in enumerate(rows)]


def _labels(row: dict[str, Any]) -> dict[str, str]:
    return {name: row[name] for name in ("feeling", "theme") if name in row}


def table(figures: dict[str, float]) -> str:
    """The figures as lines, each with its bar and whether it is met."""
    rows = []
    for name, value in figures.items():
        shown = f"{value:.0f}" if value >= 1000 or float(value).is_integer() else f"{value:.4g}"
        rows.append(f"{name:<30}{shown:>10}  {_verdict(name, value)}".rstrip())
    return "\n".join(rows)


def _verdict(name: str, value: float) -> str:
    bar = BARS.get(name)
    if bar is None:
        return ""
    rule = f"at least {bar.least:g}" if bar.least is not None else f"at most {bar.most:g}"
    return f"{rule}: {'met' if bar.met_by(value) else 'NOT MET'}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; the exit status says nothing of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stories", type=int, default=10_000, help="how many stories to measure")
    parser.add_argument("--seed", type=int, default=1, help="seed of the generator")
    parser.add_argument("--stories-file", type=Path, help="a .jsonl or .jsonl.gz with a text field instead")
    options = parser.parse_args(arguments)
    if options.stories_file is None:
        found = samples(generate_stories(seed=options.seed, count=options.stories))
    elif options.stories_file.is_file():
        found = read_samples(options.stories_file, limit=options.stories)
    else:
        sys.stderr.write(f"no such file: {options.stories_file}\n")
        return 1
    sys.stdout.write(table(measure(found)) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
