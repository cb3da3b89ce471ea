"""The model card: what a registered model is, what it was raised on, how good it is, where it ends, how to use it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks import report
from tasks.registry.evidence import Lock

CLEAN = Path("data/clean")
MAX_DESCRIPTION = 5_000  # characters of a version's description in MLflow's database


def model_card(*, model: Path, name: str, lock: Lock, ties: Mapping[str, str], verdict: str) -> str:
    """The card as markdown. model: the folder; ties: what binds it to code and data; verdict: beside the baseline."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    parts = [
        [f"# {name}: the {model.name} model", "", *_what(config)],
        ["## How good it is", "", verdict, "", *_bits(model.name), "", *_other_figures(model.name)],
        ["## Data", "", *_data(lock)],
        ["## Shape and tokenizer", "", *_shape(config)],
        ["## Limits", "", *_limits(config)],
        ["## How to use it", "", *_use(name)],
        ["## Ties", "", *(f"- {key}: `{value}`" for key, value in ties.items())],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def as_description(card: str) -> str:
    """The card, cut at a line where MLflow's database takes no more."""
    if len(card) <= MAX_DESCRIPTION:
        return card
    more = "\n\n(the whole card: the artifact model_card.md)\n"
    return card[: MAX_DESCRIPTION - len(more)].rsplit("\n", 1)[0] + more


def is_demonstration(sources: Mapping[tuple[str, str], Any]) -> bool:
    """Whether nothing but the built-in storybook went in."""
    return bool(sources) and all(source.startswith("storybook") for source, _ in sources)


def sources_of(clean: Path = CLEAN) -> dict[tuple[str, str], Counter[str]]:
    """Records by (source, licence) and split, of the clean data; empty where it is not here."""
    import pyarrow.parquet as pq

    found: dict[tuple[str, str], Counter[str]] = {}
    for path in sorted(clean.glob("*.parquet")):
        table = pq.read_table(path, columns=["source", "licence"]).group_by(["source", "licence"])
        for row in table.aggregate([([], "count_all")]).to_pylist():
            found.setdefault((row["source"], row["licence"]), Counter())[path.stem] += row["count_all"]
    return dict(sorted(found.items()))


def _what(config: Mapping[str, Any]) -> Iterator[str]:
    figures = report.read_json(report.METRICS / "pretrain.json")
    size = f"{figures['parameters']:,} parameters" if "parameters" in figures else "a decoder"
    trained = f", trained on {figures['train_tokens']:,} tokens" if "train_tokens" in figures else ""
    yield f"A small language model: {size} in the form `{config['model_type']}`{trained}. It continues text."
    if is_demonstration(sources_of()):
        yield ""
        yield "**Raised on the demonstration corpus**, the built-in storybook: its figures say that the chain works,"
        yield "not how it does on real text (`make pipeline PROFILE=tinystories`)."


def _bits(name: str) -> Iterator[str]:
    metrics = report.read_json(report.METRICS / "evaluate.json")
    yield "| bits per byte (lower is better) | test | hand-written hold-out |"
    yield "|---|---|---|"
    others = sorted(
        {key.split("_")[0] for key in metrics if key.endswith("_bits_per_byte")} - {name, *report.BASELINES}
    )
    for key, label in {name: "**this model**", **report.BASELINES, **dict(zip(others, others, strict=True))}.items():
        values = [metrics.get(f"{key}_{split}_bits_per_byte") for split in ("test", "written")]
        if any(value is not None for value in values):
            yield f"| {label} | " + " | ".join("-" if value is None else f"{value:.4f}" for value in values) + " |"


def _other_figures(name: str) -> Iterator[str]:
    metrics = report.read_json(report.METRICS / "evaluate.json")
    shown = {
        "grammar_accuracy": "minimal pairs of grammar, the right one preferred (chance 0.5)",
        "distinct_2": "distinct bigrams of its stories",
        "memorised_share": "long n-grams of its stories that stand in the training text",
    }
    for key, label in shown.items():
        value = metrics.get(f"{name}_{key}")
        if isinstance(value, int | float):
            yield f"- {label}: {value:.3f}"


def _data(lock: Lock) -> Iterator[str]:
    sources = sources_of()
    if not sources:
        yield "The clean data is not in the workspace; `dvc checkout` brings it back."
    else:
        yield "| source | licence | train | validation | test | written hold-out |"
        yield "|---|---|---|---|---|---|"
        for (source, licence), counts in sources.items():
            splits = (counts.get(split, 0) for split in ("train", "validation", "test", "written"))
            yield f"| {source} | {licence} | " + " | ".join(f"{count:,}" for count in splits) + " |"
    prepare = report.read_json(report.METRICS / "prepare.json")
    if "records_kept" in prepare:
        yield ""
        yield f"{prepare['records_kept']:,} of {prepare['records_in']:,} records kept; the rest, each with its reason,"
        yield "in data/rejected.parquet."
    if str(CLEAN) in lock.outs:
        yield f"The bytes: `{CLEAN}` is `{lock.outs[str(CLEAN)]}` in dvc.lock."


def _shape(config: Mapping[str, Any]) -> Iterator[str]:
    own = config.get("fledgling", {})
    keys = (
        "n_layers",
        "d_model",
        "n_heads",
        "n_kv_heads",
        "d_head",
        "d_ff",
        "context",
        "positions",
        "norm",
        "activation",
    )
    yield ", ".join(f"{key} {own[key]}" for key in keys if key in own) + f", vocabulary {config['vocab_size']:,}."
    tokenize = report.read_json(report.METRICS / "tokenize.json")
    if "bytes_per_token" in tokenize:
        yield f"Tokenizer: one `tokenizer.json`, {tokenize['bytes_per_token']:.2f} bytes a token."


def _limits(config: Mapping[str, Any]) -> Iterator[str]:
    yield f"- It sees {config['max_position_embeddings']:,} tokens; of a longer text it forgets the beginning."
    yield "- It knows the register it was raised on; grammar holds for paragraphs, a plot for less; facts it makes up."
    yield "- Its training text passed a child-safety filter; its answers pass none. An adult reads along."
    yield "- It continues text and follows no instructions."


def _use(name: str) -> Iterator[str]:
    yield 'Here: `fledgling generate --prompt "Once upon a time" --max-tokens 120 --temperature 0.7`.'
    yield "Served, anywhere with its requirements installed:"
    yield ""
    yield "```sh"
    yield f"mlflow models serve -m models:/{name}@candidate --env-manager local --host 127.0.0.1 --port 5001"
    yield "curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \\"
    yield """  -d '{"dataframe_records": [{"prompt": "Once upon a time"}], "params": {"max_tokens": 120, "seed": 1}}'"""
    yield "```"
