"""The stage `evaluate`: each model's figures beside those of baselines on the same text."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from model.documents import Documents, read_documents, vocabulary_size
from tasks import stage
from tasks.evaluation import task_table as table
from tasks.evaluation.compression import compressed, joined
from tasks.evaluation.intervals import Bootstrap
from tasks.evaluation.models import Questions, Replies, asked
from tasks.evaluation.ngram import NgramModel, train_ngram
from tasks.evaluation.pairs import MinimalPair, builtin_pairs, read_pairs
from tasks.evaluation.stories import StoryParams, story_figures, story_openings
from tasks.evaluation.synonyms import check_wordnet
from tasks.evaluation.task_suite import (
    Swap,
    Task,
    TaskResults,
    TaskSuiteParams,
    compare_tasks,
    mark_tasks,
    marked_baselines,
    read_tasks,
    swap_figures,
    swaps_of,
)
from tasks.records import read_rows
from tasks.stage import Params, UserError
from tasks.tokenizer_kinds import END, load_tokenizer

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Encode = Callable[[Sequence[str]], list[Ints]]
Texts = dict[str, Sequence[Ints]]  # documents, end token last, by the name of a set
Bits = Mapping[str, Floats]  # of each document of a set
Figures = dict[str, float | int | str | list[str] | None]

SPLITS = ("test", "written")
SWAPPED = ("girls and boys", "girls for boys")  # texts as they were and with everybody swapped


class EvaluateParams(Params):
    """What is measured, on how much."""

    ngram_order: int = Field(ge=1, le=8)
    bootstrap: int = Field(ge=100)  # resamples of documents for an interval
    confidence: float = Field(gt=0.5, lt=1)
    grammar_builtin_pairs: int = Field(ge=0)  # of the storybook's own minimal pairs
    grammar_files: tuple[str, ...]  # .jsonl or .jsonl.gz of {"good", "bad"[, "phenomenon"]}
    grammar_file_pairs: int = Field(ge=1)  # at most so many of each file, evenly spread
    stories: StoryParams
    tasks: TaskSuiteParams
    processes: int = Field(ge=1)  # that ask a model at once; each needs a core and the memory of a model
    seed: int


@dataclass(frozen=True, kw_only=True)
class _Material:
    """What is measured on: the splits, minimal pairs by origin, tasks, stories with everybody swapped, openings."""

    splits: tuple["_Split", ...]
    pairs: dict[str, list[MinimalPair]]
    tasks: list[Task]
    swaps: list[Swap]
    openings: list[str]


@dataclass(frozen=True, kw_only=True)
class _Split:
    """One evaluation split: token ids of each document (end token included) and the bytes of its text."""

    name: str
    documents: tuple[Ints, ...]
    sizes: Floats

    def per_byte(self, bits: Floats) -> float:
        return float(bits.sum() / self.sizes.sum())

    def interval(self, bits: Floats, params: EvaluateParams) -> tuple[float, float]:
        """A bootstrap interval of bits per byte, by document (Efron 1979, percentile method)."""
        rng = np.random.default_rng(params.seed)
        drawn = rng.integers(0, len(bits), size=(params.bootstrap, len(bits)))
        values = bits[drawn].sum(axis=1) / self.sizes[drawn].sum(axis=1)
        tail = (1 - params.confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)


def evaluate(
    params: EvaluateParams,
    *,
    clean: Path,
    tokens: Path,
    tokenizer: Path,
    mixture: Path,
    models: list[Path],
    metrics: Path,
    comparison: Path,
    samples: Path,
    task_table: Path,
    task_plot: Path,
) -> None:
    """Scores every model and the baselines: on the test split, on the hand-written hold-out, on every task.

    Bits per byte count the end token of each document and divide by the bytes of the texts. Raises
    UserError where a file of minimal pairs, a model or another input can't be read.
    """
    check_wordnet(params.tasks.wordnet)
    _check_files([clean / "train.parquet", tokenizer, *(folder / "tokenizer.json" for folder in models)])
    material = _material(params, clean=clean, tokens=tokens, mixture=mixture)
    encode = _encoder(tokenizer)
    bootstrap = _bootstrap(params)
    with (
        compressed(*_to_compress(clean, material.splits)) as sizes,
        asked(models, _questions(params, material, encode), processes=params.processes) as collect,
    ):
        costs = {"ngram": _ngram_bits(_train_baseline(params, tokens), _scored_texts(material, encode))}
        baselines = marked_baselines(material.tasks, params.tasks, bootstrap)
        replies = collect()
        figures = _by_split(sizes())
    costs |= {name: reply.bits for name, reply in replies.items()}
    for name, bits in costs.items():
        figures |= _bits_figures(name, bits, material.splits, params)
        figures |= _pair_figures(name, bits, material.pairs)
    figures |= _forgetting(figures, list(replies))
    marked = {
        name: mark_tasks(material.tasks, reply.answers, params.tasks, bootstrap) for name, reply in replies.items()
    }
    results = compare_tasks(material.tasks, marked, baselines, bootstrap)
    figures |= results.figures
    written: list[str] = []
    for name, reply in replies.items():
        original, turned = (reply.bits.get(kind, np.empty(0)) for kind in SWAPPED)
        figures |= swap_figures(name, material.swaps, original, turned, bootstrap)
        told, own = _stories(params, name, reply, clean)
        figures |= own
        written = [*told, *written]  # the newest model's first
    stage.write_metrics(metrics, figures)
    stage.write_text(samples, "# What the models say\n\n" + "\n".join([*written, *results.conversations]))
    stage.write_text(task_table, table.markdown(results.verdicts, confidence=params.confidence))
    stage.write_text(task_plot, table.plot(results.verdicts))
    _write_comparison(figures, comparison)
    _tell(figures, results)


def _check_files(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file; the stages before this one make it, run `dvc repro`")


def _material(params: EvaluateParams, *, clean: Path, tokens: Path, mixture: Path) -> _Material:
    splits = (_read_split(tokens, name) for name in SPLITS)
    return _Material(
        splits=tuple(split for split in splits if split.documents),
        pairs=_pairs(params),
        tasks=read_tasks(mixture, params.tasks),
        swaps=swaps_of(islice(_texts(clean, "test"), params.tasks.swapped_texts)),
        openings=story_openings(params.stories, clean=clean),
    )


def _questions(params: EvaluateParams, material: _Material, encode: Encode) -> Questions:
    """What the models are asked: of the texts that are scored the n-gram model is spared the swapped ones."""
    versions = [swap.original for swap in material.swaps], [swap.turned for swap in material.swaps]
    swapped = {kind: encode(texts) for kind, texts in zip(SWAPPED, versions, strict=True) if texts}
    return Questions(
        texts=_scored_texts(material, encode) | swapped,
        tasks=material.tasks,
        openings=material.openings,
        answering=params.tasks,
        stories=params.stories,
        seed=params.seed,
    )


def _scored_texts(material: _Material, encode: Encode) -> Texts:
    texts: Texts = {split.name: split.documents for split in material.splits}
    for origin, pairs in material.pairs.items():
        good, bad = _sides(origin)
        texts |= {good: encode([pair.good for pair in pairs]), bad: encode([pair.bad for pair in pairs])}
    return texts


def _sides(origin: str) -> tuple[str, str]:
    """What the two sides of a set of minimal pairs are called among the texts."""
    return f"{origin}, right", f"{origin}, wrong"


def _forgetting(figures: Figures, names: Sequence[str]) -> Figures:
    """What each later model forgot of the first one's text and grammar: bits per byte more, accuracy less."""
    first, *later = names
    signs = {"grammar_accuracy": -1.0} | {f"{split}_bits_per_byte": 1.0 for split in SPLITS}
    found: Figures = {}
    for what, sign in signs.items():
        before = figures.get(f"{first}_{what}")
        for name in later:
            after = figures.get(f"{name}_{what}")
            if isinstance(before, float) and isinstance(after, float):
                found[f"{name}_forgotten_{what}"] = sign * (after - before)
    return found


def _bootstrap(params: EvaluateParams) -> Bootstrap:
    return Bootstrap(resamples=params.bootstrap, confidence=params.confidence, seed=params.seed)


def _stories(params: EvaluateParams, name: str, reply: Replies, clean: Path) -> tuple[list[str], Figures]:
    """Stories that a model told, in Markdown, and what is counted of them."""
    counted = story_figures(params.stories, reply.stories, clean=clean)
    told = [story.as_markdown(model=name) for story in reply.stories]
    return told, {f"{name}_{key}": value for key, value in counted.items()}


def _read_split(tokens: Path, name: str) -> _Split:
    table = _documents(tokens, name)
    documents = tuple(table.document(index) for index in range(len(table)))
    return _Split(name=name, documents=documents, sizes=np.asarray(table.bytes, dtype=np.float64))


def _documents(tokens: Path, split: str) -> Documents:
    try:
        return read_documents(tokens, split)
    except ValueError as error:
        raise UserError(str(error)) from error


def _train_baseline(params: EvaluateParams, tokens: Path) -> NgramModel:
    """The n-gram model on the train split, each document counted once."""
    train = _documents(tokens, "train")
    documents = [train.document(index)[:-1] for index in range(len(train))]
    log.info("training the %d-gram baseline on %d documents", params.ngram_order, len(documents))
    return train_ngram(documents, order=params.ngram_order, vocabulary_size=vocabulary_size(tokens), end=train.end_id)


def _ngram_bits(ngram: NgramModel, texts: Texts) -> Bits:
    return {kind: ngram.bits([document[:-1] for document in documents]) for kind, documents in texts.items()}


def _bits_figures(name: str, costs: Bits, splits: Sequence[_Split], params: EvaluateParams) -> Figures:
    figures: Figures = {}
    for split in splits:
        bits = costs[split.name]
        low, high = split.interval(bits, params)
        tokens = sum(map(len, split.documents))
        figures |= {
            f"{name}_{split.name}_bits_per_byte": split.per_byte(bits),
            f"{name}_{split.name}_bits_per_byte_low": low,
            f"{name}_{split.name}_bits_per_byte_high": high,
            f"{name}_{split.name}_perplexity": float(2 ** (bits.sum() / tokens)),  # a token; see the tokenizer
        }
    return figures


def _pairs(params: EvaluateParams) -> dict[str, list[MinimalPair]]:
    """Minimal pairs by where they come from: `grammar` is the storybook's own, a file goes by its name."""
    found = {"grammar": builtin_pairs(params.grammar_builtin_pairs, seed=params.seed)}
    for name in params.grammar_files:
        path = Path(name)
        found[f"grammar_{path.name.split('.')[0]}"] = read_pairs(path, most=params.grammar_file_pairs)
    return {name: pairs for name, pairs in found.items() if pairs}


def _pair_figures(name: str, costs: Bits, sets: Mapping[str, list[MinimalPair]]) -> Figures:
    """Accuracy on each set, and by phenomenon on the storybook's own."""
    from tasks.evaluation.metrics import MinimalPairAccuracy

    figures: Figures = {}
    for origin, pairs in sets.items():
        good, bad = (costs[side] for side in _sides(origin))
        overall = MinimalPairAccuracy().compute(predictions=good, references=bad)
        figures[f"{name}_{origin}_accuracy"] = overall["accuracy"]
        for phenomenon in sorted({pair.phenomenon for pair in pairs if pair.phenomenon}):
            own = np.array([pair.phenomenon == phenomenon for pair in pairs])
            part = MinimalPairAccuracy().compute(predictions=good[own], references=bad[own])
            figures[f"{name}_{origin}_{stage.metric_key(phenomenon)}_accuracy"] = part["accuracy"]
    return figures


def _encoder(path: Path) -> Encode:
    """A function from texts to ids, each text closed by the end token."""
    tokenizer = load_tokenizer(path)

    def encode(texts: Sequence[str]) -> list[Ints]:
        encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [np.array([*encoding.ids, END], dtype=np.int64) for encoding in encodings]

    return encode


def _to_compress(clean: Path, splits: Sequence[_Split]) -> tuple[bytes, dict[str, bytes]]:
    """The training text and that of each split."""
    return joined(_texts(clean, "train")), {split.name: joined(_texts(clean, split.name)) for split in splits}


def _by_split(sizes: Mapping[str, Mapping[str, float]]) -> Figures:
    return {
        f"{name}_{split}_bits_per_byte": value for name, by_split in sizes.items() for split, value in by_split.items()
    }


def _texts(clean: Path, split: str) -> Iterator[str]:
    return (str(row["text"]) for row in read_rows(clean / f"{split}.parquet", ["text"]))


def _write_comparison(figures: Figures, path: Path) -> None:
    """Bits per byte of everything that was measured, a row each (CSV, for `dvc plots`)."""
    suffix = "_bits_per_byte"
    rows = ["name,split,bits_per_byte"]
    for key in sorted(key for key in figures if key.endswith(suffix)):
        name, _, split = key.removesuffix(suffix).rpartition("_")
        rows.append(f"{name} ({split}),{split},{figures[key]:.6g}")
    stage.write_text(path, "\n".join(rows) + "\n")


def _tell(figures: Figures, results: TaskResults) -> None:
    for split in SPLITS:
        known = {key: figures.get(f"{key}_{split}_bits_per_byte") for key in ("base", "finetuned", "ngram", "xz")}
        told = ", ".join(f"{name} {value:.3f}" for name, value in known.items() if isinstance(value, float))
        log.info("bits per byte on %s: %s", split, told)
    for verdict in results.verdicts:
        log.info("%s", verdict.line())


if __name__ == "__main__":
    stage.main(evaluate)
