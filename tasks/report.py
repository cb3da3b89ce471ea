"""What a run made, in words: the closing summary, and the pages that Prefect shows."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import outcomes, workspace
from tasks.judging.comparing.told import Judged, read_judged
from tasks.stage import STATE, read_yaml

if TYPE_CHECKING:
    from rich.table import Table

CHAIN = Path("dvc.yaml")  # its order is the order in which seconds are told
METRICS = Path("metrics")
SAMPLES = Path("data/samples.md")
JUDGE_PAGE = Path("data/report/judge.html")
TRACE_PAGE = STATE / "report" / "trace.html"
METRICS_OF = {"calibrate": "judge_scorecard"}
PAGES = {  # what people read of a stage first
    "evaluate": outcomes.TABLE,
    "calibrate": METRICS / "judge_scorecard.md",
    "judge": METRICS / "leaderboard.md",
    "gate": METRICS / "gate.md",
}

MODELS = {"base": "the base model", "finetuned": "the fine-tuned model", "aligned": "the aligned model"}
BASELINES = {"ngram": "interpolated Kneser-Ney n-gram", "xz": "xz, primed with the training text"}
BITS = ("bits per byte (lower is better)", "test", "hand-written hold-out")
TASKS = ("task", "figure", "this model", "base, few-shot", "best baseline", "outcome")

WIDTH = 100  # columns of the summary
MOST_OF_A_STORY, MOST_OF_AN_ANSWER = 450, 420  # characters
ASKED_FOR = ": story"  # how the heading of a request for a story ends


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's object, or an empty one where there is no such file."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def metrics_file(stage: str) -> Path:
    """Where a stage writes its figures: a file of its name, but for what others know by what it holds."""
    return METRICS / f"{METRICS_OF.get(stage, stage)}.json"


def judged(model: str, others: Iterable[str]) -> Judged | None:
    """What the accepting judge says of a model beside the others; None where nothing was judged."""
    figures, scorecard = (read_json(metrics_file(stage)) for stage in ("judge", "calibrate"))
    return read_judged(figures, scorecard, model, others)


def stage_markdown(stage: str) -> str:
    """What a stage made, as a Prefect artifact: its page where it writes one, then its figures and its timings."""
    metrics = read_json(metrics_file(stage))
    timings = read_json(STATE / "timings" / f"{stage}.json")
    lines = [f"# {stage}", "", *_table("figure", metrics), "", "## This run", "", *_table("measure", timings)]
    page = PAGES.get(stage)
    if page is not None and page.exists():
        told = re.sub(r"^#", "##", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        lines[1:1] = ["", told.rstrip(), "", "## Every figure"]
    return "\n".join(lines) + "\n"


def model_markdown() -> str:
    """The registered model version, as a Prefect artifact: which it is, its bits per byte, its tasks."""
    parts = [
        ["# The model"],
        [*_table("registry", workspace.registered())],
        [*_markdown(BITS, _bits_rows())],
        [*task_table()],
        [*_forgotten()],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def task_table() -> Iterator[str]:
    """The headline figure of each task as a Markdown table; nothing where no task was evaluated."""
    rows = [(*row[:-1], f"**{row[-1]}**" if row[-1] == "loses" else row[-1]) for row in _task_rows()]
    if rows:
        yield from _markdown(TASKS, rows)


def newest_model() -> str:
    """The name of the newest model that was evaluated."""
    metrics = read_json(METRICS / "evaluate.json")
    names = [folder.name for folder in workspace.MODELS]
    return next((name for name in names if f"{name}_test_bits_per_byte" in metrics), names[-1])


def _table(heading: str, rows: Mapping[str, Any]) -> Iterator[str]:
    yield from _markdown((heading, "value"), ((key, _short(value)) for key, value in rows.items()))


def _markdown(heading: tuple[str, ...], rows: "Iterator[tuple[str, ...]] | list[tuple[str, ...]]") -> Iterator[str]:
    yield f"| {' | '.join(heading)} |"
    yield f"|{'---|' * len(heading)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _short(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
    if isinstance(value, list):
        return ", ".join(map(_short, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def _bits_rows() -> Iterator[tuple[str, ...]]:
    """Name, bits per byte on the test split and on the hand-written hold-out, of the models and the baselines."""
    metrics = read_json(METRICS / "evaluate.json")
    for key, name in (MODELS | BASELINES).items():
        figures = [metrics.get(f"{key}_{split}_bits_per_byte") for split in ("test", "written")]
        if any(figure is not None for figure in figures):
            yield name, *("-" if figure is None else f"{figure:.3f}" for figure in figures)


def _task_rows() -> Iterator[tuple[str, ...]]:
    metrics = read_json(METRICS / "evaluate.json")
    for found in outcomes.read_outcomes():
        few_shot = found.told(metrics, "base_few_shot")
        yield found.task, found.metric, found.model.value, few_shot, str(found.baseline), found.outcome


def summary() -> str:
    """The closing words of a run: what was made, how good it is beside the baselines, where to look next."""
    from rich.console import Console
    from rich.markup import escape

    out = StringIO()
    console = Console(file=out, width=WIDTH, no_color=True, highlight=False)
    console.rule("What was made")
    for line in _made():
        console.print(escape(line))
    for heading, rows in ((BITS, list(_bits_rows())), (TASKS, list(_task_rows()))):
        if rows:
            console.print()
            console.print(_columns(heading, rows))
    for line in _closing():
        console.print(escape(line))
    return out.getvalue()


def _columns(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> "Table":
    """A table for the terminal; columns of bare figures stand to the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for at, title in enumerate(heading):
        bare = at > 0 and all(row[at] == "-" or row[at].replace(".", "").isdigit() for row in rows)
        table.add_column(title, justify="right" if bare else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _made() -> Iterator[str]:
    prepare, tokenize, pretrain, mix, finetune = (
        read_json(METRICS / f"{stage}.json") for stage in ("prepare", "tokenize", "pretrain", "mix", "finetune")
    )
    if prepare:
        yield f"text       {prepare['records_kept']:,} of {prepare['records_in']:,} records kept"
    if tokenize:
        yield f"tokenizer  {tokenize['vocabulary_size']:,} ids, {tokenize['bytes_per_token']:.2f} bytes a token"
    if pretrain:
        yield f"model      {pretrain['parameters']:,} parameters, trained on {pretrain['train_tokens']:,} tokens"
    if mix and finetune:
        yield f"tasks      {mix['records_kept']:,} examples; fine-tuned on {finetune['train_tokens']:,} tokens of them"
    if registered := workspace.registered():
        alias = registered.get("alias") or f"no alias: {registered.get('reason', 'see its tags')}"
        yield f"registry   {registered['name']} version {registered['version']} ({alias})"


def _closing() -> Iterator[str]:
    metrics, newest = read_json(METRICS / "evaluate.json"), newest_model()
    if f"{newest}_grammar_accuracy" in metrics:
        share = f"{metrics[f'{newest}_grammar_accuracy']:.1%}"
        yield f"\ngrammar    prefers the right sentence of {share} of minimal pairs (chance 50 %)"
    yield from _forgotten()
    yield from _judged(newest)
    if metrics.get(f"{newest}_test_bits_per_byte", 0) > metrics.get("ngram_test_bits_per_byte", float("inf")):
        yield "On the test split the n-gram model is ahead: that text repeats phrases of the training text."
    yield from _said(newest)
    if _is_demonstration():
        yield "\nAll this is of the demonstration corpus; `make pipeline PROFILE=tinystories` takes real text."
    yield "\nseconds    " + ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in _seconds())
    yield from _next()


def _forgotten() -> Iterator[str]:
    """What fine-tuning cost the newest model: bits per byte more than the base model's, grammar less."""
    metrics, start = read_json(METRICS / "evaluate.json"), f"{newest_model()}_forgotten_"
    where = {"bits per byte on test": "test", "on the hold-out": "written"}
    costs = {what: metrics.get(f"{start}{split}_bits_per_byte") for what, split in where.items()}
    parts = [f"{cost:+.3f} {what}" for what, cost in costs.items() if cost is not None]
    if parts:
        lost = metrics.get(f"{start}grammar_accuracy")
        grammar = "" if lost is None else f"; grammar {-100 * lost:+.1f} points"
        yield f"forgot     beside base: {', '.join(parts)}{grammar}"


def _judged(model: str) -> Iterator[str]:
    """How the newest model stands to the others by the accepting judge, and where that judge may not be believed."""
    told = judged(model, MODELS)
    if told is None:
        return
    for found in told.against:
        yield f"judge      {found.line}"
    if axes := ", ".join(told.may_not_decide).replace("_", " "):
        yield f"           the judge ({told.judge}) failed its own examination on: {axes}"


def _said(model: str) -> Iterator[str]:
    """A story that the model told, when asked for one where it can be, and its answer to the shortest other request."""
    if not SAMPLES.exists():
        return
    blocks = [block.partition("\n\n") for block in SAMPLES.read_text(encoding="utf-8").split("\n## ")[1:]]
    own = [(heading, text.strip()) for heading, _, text in blocks if heading.startswith(f"{model}, ")]
    asked = [_as_asked(text) for heading, text in own if heading.endswith(ASKED_FOR) and text.startswith("> ")]
    stories = [*asked, *((heading, text) for heading, text in own if not text.startswith("> "))]
    answers = [
        (heading, text)
        for heading, text in own
        if text.startswith("> ") and not heading.endswith(ASKED_FOR) and len(text) <= MOST_OF_AN_ANSWER
    ]
    if stories:
        heading, text = stories[0]
        yield f"\nA story it tells ({heading}):"
        yield _cut(text, MOST_OF_A_STORY)
    if answers:
        heading, text = min(answers, key=lambda found: len(found[1]))
        yield f"\nAn answer it gives ({heading}):"
        yield "\n".join(line for line in text.splitlines() if line.strip(" >"))


def _as_asked(conversation: str) -> tuple[str, str]:
    """The request, and the story that answers it."""
    request, _, answer = conversation.partition("\n\n")
    return f"asked: {request.removeprefix('> ')}", answer.partition("\n\n(expected: ")[0]


def _cut(text: str, most: int) -> str:
    """The beginning of a text, its blank lines left out, cut after a word."""
    joined = "\n".join(line for line in text.splitlines() if line)
    if len(joined) <= most:
        return joined
    return joined[:most].rpartition(" ")[0].removesuffix(" [...]") + " [...]"


def _is_demonstration() -> bool:
    counts = read_json(METRICS / "ingest.json")
    others = [key for key in counts if key.startswith("records_") and not key.startswith("records_storybook")]
    return set(others) <= {"records_unreadable"}


def _seconds() -> list[tuple[str, float]]:
    found = [(path.stem, read_json(path)["seconds"]) for path in (STATE / "timings").glob("*.json")]
    chain = list(read_yaml(CHAIN)["stages"]) if CHAIN.exists() else []
    return sorted(found, key=lambda row: (chain.index(row[0]) if row[0] in chain else len(chain), row[0]))


def _next() -> Iterator[str]:
    yield "\nNext: `make platform`, then http://127.0.0.1:5000 (MLflow: the model and its runs) and"
    yield "http://127.0.0.1:4200 (Prefect: the pipeline); or talk to it:"
    yield '  .venv/bin/fledgling generate --prompt "One morning, Mina found" --max-tokens 120'
    if JUDGE_PAGE.exists():
        yield f"  {JUDGE_PAGE} (who is ahead, by which judge: open it in a browser)"
    if TRACE_PAGE.exists():
        yield f"  {TRACE_PAGE} (where the model comes from; `fledgling trace`, with --verify, too)"
    if outcomes.TABLE.exists():
        yield '  .venv/bin/fledgling generate --task assistant --prompt "Write a story about courage."'
        yield f"  cat {outcomes.TABLE}    (every task, model and baseline)"
