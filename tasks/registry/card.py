"""The model card: what a registered model is, what it was raised on, how good it is, where it ends, how to use it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks import outcomes, report
from tasks.chat import is_taught_to_chat
from tasks.registry.evidence import Lock, rows_by

CLEAN, MIXTURE = Path("data/clean"), Path("data/mixture")
REQUEST = "Write a story about courage."
MAX_DESCRIPTION = 5_000  # characters of a version's description in MLflow's database


def model_card(*, model: Path, name: str, lock: Lock, ties: Mapping[str, str], verdict: str) -> str:
    """The card as markdown. model: the folder; ties: what binds it to code and data; verdict: beside the baseline."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    chats = is_taught_to_chat(model)
    parts = [
        [f"# {name}: the {model.name} model", "", *_what(config, chats=chats)],
        ["## How good it is", "", verdict, "", *_bits(model.name), "", *_other_figures(model.name)],
        *([["## Its tasks", "", *_tasks(model.name)]] if chats else []),
        *([["## What a judge says", "", *judged]] if (judged := list(_judged(model.name))) else []),
        ["## Data", "", *_data(lock)],
        ["## Shape and tokenizer", "", *_shape(config)],
        ["## Limits", "", *_limits(config, chats=chats)],
        ["## How to use it", "", *_use(name, chats=chats)],
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
    files = {path.stem: path for path in sorted(clean.glob("*.parquet"))}
    return {(source, licence): counts for (source, licence), counts in rows_by(files, "source", "licence")}


def _what(config: Mapping[str, Any], *, chats: bool) -> Iterator[str]:
    pretrain, finetune = (report.read_json(report.METRICS / f"{stage}.json") for stage in ("pretrain", "finetune"))
    size = f"{pretrain['parameters']:,} parameters" if "parameters" in pretrain else "a decoder"
    trained = f", trained on {pretrain['train_tokens']:,} tokens of text" if "train_tokens" in pretrain else ""
    yield f"A small language model: {size} in the form `{config['model_type']}`{trained}."
    if chats:
        tuned = f" on {finetune['train_tokens']:,} tokens" if "train_tokens" in finetune else ""
        tasks = ", ".join(outcome.task for outcome in outcomes.read_outcomes()) or "those of its mixture"
        yield f"It was fine-tuned{tuned}: it continues text and follows requests of the kinds it was taught, {tasks}."
    else:
        yield "It continues text."
    if is_demonstration(sources_of()):
        yield ""
        yield "**Raised on the demonstration corpus**, the built-in storybook: its figures say that the chain works,"
        yield "not how it does on real text (`make pipeline PROFILE=tinystories`)."


def _bits(name: str) -> Iterator[str]:
    metrics = report.read_json(report.METRICS / "evaluate.json")
    labels = {name: ""} | report.MODELS | report.BASELINES | {name: "**this model**"}
    yield "| bits per byte (lower is better) | test | hand-written hold-out |"
    yield "|---|---|---|"
    for key, label in labels.items():
        values = [metrics.get(f"{key}_{split}_bits_per_byte") for split in ("test", "written")]
        if any(value is not None for value in values):
            yield f"| {label} | " + " | ".join("-" if value is None else f"{value:.4f}" for value in values) + " |"


def _other_figures(name: str) -> Iterator[str]:
    shown = {
        f"{name}_grammar_accuracy": "minimal pairs of grammar, the right one preferred (chance 0.5)",
        f"{name}_distinct_2": "distinct bigrams of its stories",
        f"{name}_memorised_share": "long n-grams of its stories that stand in the training text",
        f"{name}_forgotten_test_bits_per_byte": "forgotten by fine-tuning: bits per byte above the base model, test",
        f"{name}_forgotten_written_bits_per_byte": "forgotten: the same, on the hand-written hold-out",
        f"{name}_forgotten_grammar_accuracy": "forgotten: minimal pairs of grammar, a share less",
        f"{name}_girls_cost_bits": "bits that a text costs more with girls in it than with boys (0: favours nobody)",
    }
    yield from _shown(shown)


def _shown(labels: Mapping[str, str]) -> Iterator[str]:
    """A line for each figure of `evaluate` that there is, with its interval where it has one."""
    metrics = report.read_json(report.METRICS / "evaluate.json")
    for key, label in labels.items():
        value, low, high = (metrics.get(f"{key}{end}") for end in ("", "_low", "_high"))
        if isinstance(value, int | float):
            between = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
            yield f"- {label}: {value:.3f}{between}"


def _tasks(name: str) -> Iterator[str]:
    """The headline figures beside the best baselines, then what its answers make up."""
    found = outcomes.read_outcomes()
    if not found:
        yield "No task was evaluated."
        return
    yield from report.task_table()
    yield ""
    yield "wins: above the best baseline, and not by chance; level: neither, or both above .95; **loses**: below it."
    yield f"Every figure with its interval: `{outcomes.TABLE}`."
    yield from _on_written(name, found)
    made_up: dict[str, str] = {}
    for outcome in found:
        start = f"{name}_{outcome.task}"
        made_up |= {
            f"{start}_made_up_names": f"{outcome.task}: names in its answers that its text does not hold",
            f"{start}_answered_unanswerable": f"{outcome.task}: questions that its text does not answer, answered",
            f"{start}_refused_answerable": f"{outcome.task}: questions that its text answers, refused",
        }
    if lines := list(_shown(made_up)):
        yield ""
        yield "What it makes up, and what it refuses, as shares:"
        yield from lines


def _judged(name: str) -> Iterator[str]:
    """How it stands to the other models by the accepting judge, and how far that judge may be believed."""
    judged = report.judged(name, report.MODELS)
    if judged is None:
        return
    for against in judged.against:
        yield f"- {against.line}"
    yield f"- judged by `{judged.judge}`, with a verdict on {judged.coverage:.1%} of what it was asked"
    if failed := ", ".join(judged.may_not_decide).replace("_", " "):
        yield f"- **may not decide a promotion**, since the judge failed its own examination there: {failed}"
    yield "- examples and reasons: the artifact `judgements/judge.html`; the judge: `metrics/judge_scorecard.md`"


def _on_written(name: str, found: Iterable[outcomes.Outcome]) -> Iterator[str]:
    metrics = report.read_json(report.METRICS / "evaluate.json")
    told = [
        f"{outcome.task} {own} ({outcome.baseline.name} {outcome.told(metrics, outcome.baseline.name, of='written')})"
        for outcome in found
        if (own := outcome.told(metrics, name, of="written")) != "-"
    ]
    if told:
        yield f"On hand-written stories: {', '.join(told)}."


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
    mix = report.read_json(report.METRICS / "mix.json")
    if "records_kept" in mix:
        yield f"The instruction mixture: {mix['records_kept']:,} examples, of {mix['records_in']:,}."
    held = [f"`{path}` is `{lock.outs[str(path)]}`" for path in (CLEAN, MIXTURE) if str(path) in lock.outs]
    if held:
        yield f"The bytes: {', '.join(held)} in dvc.lock."


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


def _limits(config: Mapping[str, Any], *, chats: bool) -> Iterator[str]:
    yield f"- It sees {config['max_position_embeddings']:,} tokens; of a longer text it forgets the beginning."
    yield "- It knows the register it was raised on; grammar holds for paragraphs, a plot for less; facts it makes up."
    yield "- Its training text passed a child-safety filter; its answers pass none. An adult reads along."
    if chats:
        yield "- It follows the requests it was taught, worded much as they were; anything else it answers wrongly."
        yield "- One request, one reply: it was taught no longer conversations."
    else:
        yield "- It continues text and follows no instructions."


def _use(name: str, *, chats: bool) -> Iterator[str]:
    yield 'Here: `fledgling generate --prompt "Once upon a time" --max-tokens 120 --temperature 0.7`'
    if chats:
        yield f'goes on with a text; `fledgling generate --task assistant --prompt "{REQUEST}"` replies.'
    yield "Served, anywhere with its requirements installed:"
    yield ""
    yield "```sh"
    yield f"mlflow models serve -m models:/{name}@candidate --env-manager local --host 127.0.0.1 --port 5001"
    yield "curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' \\"
    prompt = REQUEST if chats else "Once upon a time"
    body = {"dataframe_records": [{"prompt": prompt}], "params": {"max_tokens": 120, "seed": 1}}
    yield f"  -d '{json.dumps(body)}'"
    yield "```"
    if chats:
        yield "There a prompt is a message to be replied to; with the param `chat` false it is a text to go on with."
