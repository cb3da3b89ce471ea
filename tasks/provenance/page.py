"""The way as a page of HTML that needs nothing but a browser: no script, no request."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.provenance import told
from tasks.provenance.way import BatchWay, Source, VersionWay
from tasks.stage import write_text

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = Path(__file__).with_name("page.html.j2")
AGAINST = ("champion", "base")  # whom the gate sets a candidate beside
RATES = {"win_rate": "win rate", "length_controlled_win_rate": "at equal lengths"}


def write_page(path: Path, way: VersionWay | BatchWay) -> None:
    """Writes the page: the same bytes for the same way."""
    write_text(path, page_of(way))


def page_of(way: VersionWay | BatchWay) -> str:
    """The page."""
    steps = list(_steps(way)) if isinstance(way, VersionWay) else []
    gate = way.gate.figures if isinstance(way, VersionWay) and way.gate else {}
    return _template().render(way=way, steps=steps, rates=list(_rates(gate)), figures=dict(_figures(gate)))


def _steps(way: VersionWay) -> Iterator[tuple[str, str, str]]:
    """The way in a line, from the texts to the release: a word, its section, and what there is of it."""
    yield "Code", "code", told.short(way.code.commit)
    if way.corpus is not None:
        yield "Corpus", "corpus", f"{_train(way.corpus):,} texts"
    if way.instructions is not None:
        yield "Instructions", "instructions", f"{_train(way.instructions):,} examples"
    if way.preferences is not None:
        people = len(way.preferences.reviewers)
        whose = f", {people} {'person' if people == 1 else 'people'} asked" if people else ""
        yield "Preferences", "preferences", f"{way.preferences.pairs:,} pairs{whose}"
    yield "Model", "bytes", f"{way.model.model} {told.short(way.model.model_md5)}"
    if way.gate is not None:
        yield "Gate", "gate", way.gate.decision
    yield "Now", "history", ", ".join(way.model.aliases) or "no alias"


def _train(sources: tuple[Source, ...]) -> int:
    return sum(source.rows.get("train", 0) for source in sources)


def _rates(gate: Mapping[str, Any]) -> Iterator[tuple[str, str, float, float, float]]:
    """Against whom, which rate, and its value with the ends of its interval."""
    for other in AGAINST:
        for key, words in RATES.items():
            found = [gate.get(f"{other}_{key}{end}") for end in ("", "_low", "_high")]
            values = [float(value) for value in found if isinstance(value, int | float)]
            if len(values) == len(found):
                yield other, words, values[0], values[1], values[2]


def _figures(gate: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every other figure of the gate, in words."""
    for key, value in gate.items():
        if value is None or key in ("decision", "reasons"):
            continue
        shown = ", ".join(map(str, value)) or "none" if isinstance(value, list) else value
        yield key.replace("_", " "), f"{shown:.4g}" if isinstance(shown, float) else str(shown)


@cache
def _template() -> "Template":
    """Names and reasons are texts of strangers: everything is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "counts": told.counts, "file_line": told.file_line, "file_lines": told.file_lines,
        "learnt": told.learnt_line, "moment": told.moment, "rows": told.rows_told, "short": told.short,
    }  # fmt: skip
    environment.globals["learnt_told"] = told.learnt_told
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
