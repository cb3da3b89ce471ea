"""The stage `evaluate`: each model's figures beside those of baselines on the same text."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from model.checkpoint import load_model
from model.decoder import Decoder
from model.documents import Documents, read_documents, vocabulary_size
from model.scoring import document_bits
from tasks import stage
from tasks.evaluation import compression
from tasks.evaluation import task_table as table
from tasks.evaluation.answering import respondents
from tasks.evaluation.intervals import Bootstrap
from tasks.evaluation.ngram import NgramModel, train_ngram
from tasks.evaluation.pairs import MinimalPair, builtin_pairs, read_pairs
from tasks.evaluation.stories import StoryParams, story_figures, write_stories
from tasks.evaluation.task_suite import TaskResults, TaskSuiteParams, evaluate_tasks, read_tasks, swap_figures
from tasks.records import read_rows
from tasks.stage import Params, UserError
from tasks.tokenizer_kinds import END, load_tokenizer

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Encode = Callable[[Sequence[str]], list[Ints]]
Scorer = Callable[[Sequence[Ints]], Floats]  # documents, end token last, to bits of each
Figures = dict[str, float | int | str | list[str] | None]

SPLITS = ("test", "written")


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
    threads: int = Field(ge=1)
    seed: int


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
    _check_files([clean / "train.parquet", tokenizer, *(folder / "tokenizer.json" for folder in models)])
    torch.set_num_threads(params.threads)
    splits = tuple(split for split in (_read_split(tokens, name) for name in SPLITS) if split.documents)
    pairs = _pairs(params)
    ngram = _train_baseline(params, tokens)
    encode = _encoder(tokenizer)
    decoders = _load(models)
    figures: Figures = {}
    for name, score in _scorers(decoders, ngram):
        log.info("scoring %s", name)
        figures |= _bits_figures(name, score, splits, params)
        figures |= _pair_figures(name, score, pairs, encode)
    log.info("compressing the same text")
    figures |= _compressor_figures(clean, [split.name for split in splits])
    figures |= _forgetting(figures, [folder.name for folder in models])
    results = _task_results(params, mixture, models, decoders)
    figures |= results.figures | _swaps(params, clean, decoders, encode)
    written: list[str] = []
    for folder in models:
        told, own = _stories(params, folder, decoders[folder.name], clean)
        figures |= own
        written = [*told, *written]  # the newest model's first
    stage.write_metrics(metrics, figures)
    stage.write_text(samples, "# What the models say\n\n" + "\n".join([*written, *results.conversations]))
    stage.write_text(task_table, table.markdown(results.verdicts))
    stage.write_text(task_plot, table.plot(results.verdicts))
    _write_comparison(figures, comparison)
    _tell(figures, results)


def _check_files(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file; the stages before this one make it, run `dvc repro`")


def _load(models: Sequence[Path]) -> dict[str, Decoder]:
    """The models by name, in the order of their making. Raises UserError where one can't be read."""
    try:
        return {folder.name: load_model(folder) for folder in models}
    except ValueError as error:
        raise UserError(str(error)) from error


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


def _task_results(
    params: EvaluateParams, mixture: Path, models: Sequence[Path], decoders: Mapping[str, Decoder]
) -> TaskResults:
    ways = {
        folder.name: respondents(folder, decoders[folder.name], params.tasks, seed=params.seed) for folder in models
    }
    return evaluate_tasks(read_tasks(mixture, params.tasks), ways, params.tasks, _bootstrap(params))


def _bootstrap(params: EvaluateParams) -> Bootstrap:
    return Bootstrap(resamples=params.bootstrap, confidence=params.confidence, seed=params.seed)


def _swaps(params: EvaluateParams, clean: Path, decoders: Mapping[str, Decoder], encode: Encode) -> Figures:
    """The likelihood gap between boys and girls, of each model."""
    texts = list(islice(_texts(clean, "test"), params.tasks.swapped_texts))
    figures: Figures = {}
    for name, decoder in decoders.items():

        def cost(texts: Sequence[str], decoder: Decoder = decoder) -> Floats:
            return document_bits(decoder, encode(texts))

        figures |= swap_figures(name, cost, texts, _bootstrap(params))
    return figures


def _stories(params: EvaluateParams, folder: Path, decoder: Decoder, clean: Path) -> tuple[list[str], Figures]:
    """Stories that a model tells, in Markdown, and what is counted of them."""
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    stories = write_stories(params.stories, model=decoder, tokenizer=tokenizer, clean=clean, seed=params.seed)
    counted = story_figures(params.stories, stories, clean=clean)
    told = [story.as_markdown(model=folder.name) for story in stories]
    return told, {f"{folder.name}_{key}": value for key, value in counted.items()}


def _read_split(tokens: Path, name: str) -> _Split:
    table = _documents(tokens, name)
    documents = tuple(table.document(index) for index in range(len(table)))
    return _Split(name=name, documents=documents, sizes=np.asarray(table.bytes, dtype=np.float64))


def _documents(tokens: Path, split: str) -> Documents:
    try:
        return read_documents(tokens, split)
    except ValueError as error:
        raise UserError(str(error)) from error


def _scorers(models: Mapping[str, Decoder], ngram: NgramModel) -> Iterator[tuple[str, Scorer]]:
    """What costs a document how many bits: the n-gram model, then each model of ours."""
    yield "ngram", lambda documents: ngram.bits([document[:-1] for document in documents])
    for name, model in models.items():
        yield name, partial(document_bits, model)


def _train_baseline(params: EvaluateParams, tokens: Path) -> NgramModel:
    """The n-gram model on the train split, each document counted once."""
    train = _documents(tokens, "train")
    documents = [train.document(index)[:-1] for index in range(len(train))]
    log.info("training the %d-gram baseline on %d documents", params.ngram_order, len(documents))
    return train_ngram(documents, order=params.ngram_order, vocabulary_size=vocabulary_size(tokens), end=train.end_id)


def _bits_figures(name: str, score: Scorer, splits: Sequence[_Split], params: EvaluateParams) -> Figures:
    figures: Figures = {}
    for split in splits:
        bits = score(split.documents)
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


def _pair_figures(name: str, score: Scorer, sets: Mapping[str, list[MinimalPair]], encode: Encode) -> Figures:
    """Accuracy on each set, and by phenomenon on the storybook's own."""
    from tasks.evaluation.metrics import MinimalPairAccuracy

    figures: Figures = {}
    for origin, pairs in sets.items():
        good, bad = score(encode([p.good for p in pairs])), score(encode([p.bad for p in pairs]))
        overall = MinimalPairAccuracy().compute(predictions=good, references=bad)
        figures[f"{name}_{origin}_accuracy"] = overall["accuracy"]
        for phenomenon in sorted({pair.phenomenon for pair in pairs if pair.phenomenon}):
            own = np.array([pair.phenomenon == phenomenon for pair in pairs])
            part = MinimalPairAccuracy().compute(predictions=good[own], references=bad[own])
            figures[f"{name}_{origin}_{_key(phenomenon)}_accuracy"] = part["accuracy"]
    return figures


def _key(phenomenon: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in phenomenon.lower())


def _encoder(path: Path) -> Encode:
    """A function from texts to ids, each text closed by the end token."""
    tokenizer = load_tokenizer(path)

    def encode(texts: Sequence[str]) -> list[Ints]:
        encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [np.array([*encoding.ids, END], dtype=np.int64) for encoding in encodings]

    return encode


def _compressor_figures(clean: Path, splits: Sequence[str]) -> Figures:
    texts = {name: compression.joined(_texts(clean, name)) for name in ("train", *splits)}
    train = texts.pop("train")
    return {
        f"{name}_{split}_bits_per_byte": value
        for name, by_split in compression.bits_per_byte(train, texts).items()
        for split, value in by_split.items()
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
