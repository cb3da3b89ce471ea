"""What a run made, in words: the closing summary, and the pages that Prefect shows."""

import json
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from tasks.stage import STATE, read_yaml

CHAIN = Path("dvc.yaml")  # its order is the order in which seconds are told
METRICS = Path("metrics")
SAMPLES = Path("data/samples.md")
REGISTERED = STATE / "registered.json"

BASELINES = {"ngram": "interpolated Kneser-Ney n-gram", "xz": "xz, primed with the training text"}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object, or an empty one where there is no such file."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def stage_markdown(stage: str) -> str:
    """What a stage made, as a Prefect artifact: its figures and its timings."""
    metrics = read_json(METRICS / f"{stage}.json")
    timings = read_json(STATE / "timings" / f"{stage}.json")
    lines = [f"# {stage}", "", *_table("figure", metrics), "", "## This run", "", *_table("measure", timings)]
    return "\n".join(lines) + "\n"


def model_markdown() -> str:
    """The registered model version, as a Prefect artifact."""
    return "\n".join(["# The model", "", *_table("registry", read_json(REGISTERED)), "", *_bits_table()]) + "\n"


def _table(heading: str, rows: Mapping[str, Any]) -> Iterator[str]:
    yield f"| {heading} | value |"
    yield "|---|---|"
    for key, value in rows.items():
        yield f"| {key} | {_short(value)} |"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def _bits_rows() -> Iterator[tuple[str, float | None, float | None]]:
    """Name, bits per byte on the test split and on the hand-written hold-out, of the model and the baselines."""
    metrics = read_json(METRICS / "evaluate.json")
    names = {"base": "the base model", **BASELINES}
    for key, name in names.items():
        figures = [metrics.get(f"{key}_{split}_bits_per_byte") for split in ("test", "written")]
        if any(figure is not None for figure in figures):
            yield name, figures[0], figures[1]


def _bits_table() -> Iterator[str]:
    yield "| bits per byte | test | hand-written hold-out |"
    yield "|---|---|---|"
    for name, test, written in _bits_rows():
        yield f"| {name} | {_short(test)} | {_short(written)} |"


def summary() -> str:
    """The closing words of a run: what was made, how good it is beside the baselines, where to look next."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    out = StringIO()
    console = Console(file=out, width=100, no_color=True, highlight=False)
    console.rule("What was made")
    for line in _made():
        console.print(escape(line))
    table = Table("bits per byte (lower is better)", title_justify="left", box=None, pad_edge=False)
    table.add_column("test", justify="right")
    table.add_column("hand-written hold-out", justify="right")
    for name, test, written in _bits_rows():
        table.add_row(name, _bits(test), _bits(written))
    console.print()
    console.print(table)
    for line in _closing():
        console.print(escape(line))
    return out.getvalue()


def _bits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _made() -> Iterator[str]:
    pretrain, tokenize = read_json(METRICS / "pretrain.json"), read_json(METRICS / "tokenize.json")
    prepare = read_json(METRICS / "prepare.json")
    if prepare:
        yield f"text       {prepare['records_kept']:,} of {prepare['records_in']:,} records kept"
    if tokenize:
        yield f"tokenizer  {tokenize['vocabulary_size']:,} ids, {tokenize['bytes_per_token']:.2f} bytes a token"
    if pretrain:
        yield f"model      {pretrain['parameters']:,} parameters, trained on {pretrain['train_tokens']:,} tokens"
    registered = read_json(REGISTERED)
    if registered:
        alias = registered.get("alias") or f"no alias: {registered.get('reason', 'see its tags')}"
        yield f"registry   {registered['name']} version {registered['version']} ({alias})"


def _closing() -> Iterator[str]:
    metrics = read_json(METRICS / "evaluate.json")
    if "base_grammar_accuracy" in metrics:
        share = f"{metrics['base_grammar_accuracy']:.1%}"
        yield f"\ngrammar: prefers the right sentence of {share} of minimal pairs (chance 50 %)"
    if metrics.get("base_test_bits_per_byte", 0) > metrics.get("ngram_test_bits_per_byte", float("inf")):
        yield "\nOn the test split the n-gram model is ahead: that text repeats phrases of the training text."
    yield from _one_story()
    if _is_demonstration():
        yield (
            "\nThe text is the demonstration corpus, the built-in storybook; `make pipeline PROFILE=tinystories` "
            "gives figures on real text."
        )
    yield "\nseconds    " + ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in _seconds())
    yield "\nNext: `make platform`, then http://127.0.0.1:5000 (the model and its runs, in MLflow) and"
    yield "http://127.0.0.1:4200 (the pipeline, in Prefect); or talk to it:"
    yield '      .venv/bin/fledgling generate --prompt "One morning, Mina found" --max-tokens 120 --temperature 0.7'


def _one_story() -> Iterator[str]:
    if SAMPLES.exists():
        samples = SAMPLES.read_text(encoding="utf-8").split("\n## ")
        if len(samples) > 1:
            yield "\nA story it tells (" + samples[1].replace("\n\n", ")\n\n", 1).rstrip()


def _is_demonstration() -> bool:
    counts = read_json(METRICS / "ingest.json")
    others = [key for key in counts if key.startswith("records_") and not key.startswith("records_storybook")]
    return set(others) <= {"records_unreadable"}


def _seconds() -> list[tuple[str, float]]:
    found = [(path.stem, read_json(path)["seconds"]) for path in (STATE / "timings").glob("*.json")]
    chain = list(read_yaml(CHAIN)["stages"]) if CHAIN.exists() else []
    return sorted(found, key=lambda row: (chain.index(row[0]) if row[0] in chain else len(chain), row[0]))
