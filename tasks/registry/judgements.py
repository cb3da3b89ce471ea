"""What a judge said, for the people who review a model in MLflow: a table of all answers, a sample of them as traces.

A trace carries the judge's feedback, and people add theirs beside it. Sent twice, everything is stored once.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.evaluation.spread import spread
from tasks.judging.comparing.matches import Match, find_matches
from tasks.judging.kept import read_items, read_pairs, read_rankings, read_scores
from tasks.judging.records import STORY, Item, PairRecord, RankRecord, ScoreRecord
from tasks.registry import runs, store
from tasks.registry.evidence import Lock
from tasks.registry.traces import TracedAnswer, answer_trace, find_traces
from tasks.stage import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

JUDGED, REPORT = Path("data/judged"), Path("data/report/judge.html")
LABELLED, SAMPLED = Path("data/labelled"), Path("data/sampled.jsonl")
FOLDER = "judgements"  # of the run's artefacts
DONE = "judgements"  # the tag of a run that has them all; its value: the hash of what was judged

OF_CODE = "heuristic-"  # how the names of judges begin that are code and no language model's opinion
STORIES_SHOWN, OTHERS_SHOWN = 5, 1  # answers that become traces: of stories, and of each other kind
MOST_ROWS = 5_000  # of a table

Columns = dict[str, list[Any]]


@dataclass(frozen=True, kw_only=True)
class Judgements:
    """The answers that were judged, and what was said of them."""

    answers: Sequence[Item]
    scores: Sequence[ScoreRecord]
    pairs: Sequence[PairRecord]

    @cached_property
    def by_item(self) -> dict[str, ScoreRecord]:
        return {record.item: record for record in self.scores}

    @cached_property
    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(item.by for item in self.answers))

    @cached_property
    def verdicts(self) -> dict[tuple[str, str], list[tuple[str, str, str]]]:
        """By prompt and model: each other model, the outcome against it (won, tied, lost) and the judge's reason."""
        found: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
        for match in find_matches(self.answers, self.pairs, self.models):
            if match.record is not None and match.record.winner is not None:
                for item, other, outcome in _sides(match):
                    told = other, outcome, match.record.reason
                    found.setdefault((item.prompt_id, item.by), []).append(told)
        return found


def send(client: "MlflowClient", run_id: str, lock: Lock, *, model: str, version: str) -> None:
    """Puts the judge's verdicts on the run of a model version; nothing where the chain has none, or they are there.

    model: the name of the registered model, whose answers become traces; version: what the traces are found by.
    Raises UserError where a file of verdicts can't be read, and what MLflow raises.
    """
    key = _key(lock)
    if key is None or client.get_run(run_id).data.tags.get(DONE) == key:
        return
    judged = Judgements(
        answers=read_items(JUDGED / "answers.jsonl"),
        scores=read_scores(JUDGED / "scores.jsonl"),
        pairs=read_pairs(JUDGED / "pairs.jsonl"),
    )
    _log_table(client, run_id, "answers.json", lambda: answers_table(judged))
    if _is_of(lock, LABELLED) and _is_of(lock, SAMPLED):
        items, rankings = read_items(SAMPLED), read_rankings(LABELLED / "rankings.jsonl")
        _log_table(client, run_id, "rankings.json", lambda: rankings_table(items, rankings))
    if _is_of(lock, REPORT):
        client.log_artifact(run_id, str(REPORT), FOLDER)
    _log_traces(client, run_id, judged, model=model, version=version)
    runs.set_tags(client, run_id, {DONE: key})


def source_of(judge: str) -> Literal["CODE", "LLM_JUDGE"]:
    """What MLflow calls the origin of a judge's feedback (tasks.judging.judge.Judge.source, which no record keeps)."""
    return "CODE" if judge.startswith(OF_CODE) else "LLM_JUDGE"


def answers_table(judged: Judgements) -> Columns:
    """A row an answer: its text, its grades with their reasons, how it did against each other model."""
    axes = list(dict.fromkeys(axis for record in judged.scores for axis in record.grades))
    rows = [_answer_row(judged, item, axes) for item in judged.answers[:MOST_ROWS]]
    if len(rows) < len(judged.answers):
        log.warning("the table of answers in MLflow holds %d of %d", len(rows), len(judged.answers))
    return _columns(rows)


def rankings_table(items: Sequence[Item], rankings: Sequence[RankRecord]) -> Columns:
    """A row a prompt: its answers by number, and their partial order as such: `2 > 1 = 4 > 3`."""
    by_id = {item.id: item for item in items}
    widest = max((len(ranking.items) for ranking in rankings), default=0)
    return _columns([_ranking_row(by_id, ranking, widest) for ranking in rankings[:MOST_ROWS]])


def order_of(ranking: RankRecord) -> str:
    """The tiers from best to worst, answers by their number from 1; empty without a verdict."""
    numbers = {item: str(number) for number, item in enumerate(ranking.items, start=1)}
    return " > ".join(" = ".join(sorted((numbers[item] for item in tier), key=int)) for tier in ranking.tiers)


def _key(lock: Lock) -> str | None:
    """The hash of all that is sent; None where nothing was judged."""
    if not _is_of(lock, JUDGED):
        return None
    parts = [lock.outs[str(path)] for path in (JUDGED, LABELLED, SAMPLED, REPORT) if _is_of(lock, path)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _is_of(lock: Lock, path: Path) -> bool:
    """Whether the chain made it and it is still what the chain made."""
    if str(path) not in lock.outs or not path.exists():
        return False
    try:
        lock.check(path)
    except UserError as error:
        log.warning("not sent to MLflow: %s", error)
        return False
    return True


def _sides(match: Match) -> Iterator[tuple[Item, str, str]]:
    """Each answer of a match with the other model's name and its own outcome."""
    winner = match.record.winner if match.record else None
    for place, item, other in (("first", match.first, match.second), ("second", match.second, match.first)):
        yield item, other.by, "tied" if winner == "tie" else "won" if winner == place else "lost"


def _answer_row(judged: Judgements, item: Item, axes: Sequence[str]) -> dict[str, Any]:
    record = judged.by_item.get(item.id)
    grades = record.grades if record else {}
    against = {other: (outcome, why) for other, outcome, why in judged.verdicts.get((item.prompt_id, item.by), [])}
    row: dict[str, Any] = {
        "model": item.by,
        "kind": item.kind,
        "prompt": item.prompt,
        "answer": item.answer,
        "overall": record.overall if record else None,
        "status": record.status if record else "not judged",
        "judge": record.judge if record else None,
    }
    for other in judged.models:
        row[f"against_{other}"], row[f"against_{other}_reason"] = against.get(other, (None, None))
    for axis in axes:
        grade = grades.get(axis)
        row[axis], row[f"{axis}_reason"] = (grade.score, grade.reason) if grade else (None, None)
    return row | {"reason": record.reason if record else None, "prompt_id": item.prompt_id, "item": item.id}


def _ranking_row(by_id: Mapping[str, Item], ranking: RankRecord, widest: int) -> dict[str, Any]:
    known = [by_id[item] for item in ranking.items if item in by_id]
    numbered = [by_id[item].answer if item in by_id else None for item in ranking.items]
    return {
        "prompt": known[0].prompt if known else None,
        "order": order_of(ranking),
        "status": ranking.status,
        "reason": ranking.reason,
        **{f"answer_{at + 1}": numbered[at] if at < len(numbered) else None for at in range(widest)},
        "judge": ranking.judge,
        "prompt_id": known[0].prompt_id if known else None,
        "tiers": [list(tier) for tier in ranking.tiers],
    }


def _columns(rows: Sequence[Mapping[str, Any]]) -> Columns:
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _log_table(client: "MlflowClient", run_id: str, name: str, make: Callable[[], Columns]) -> None:
    """A table of the run; one that is there already stays, since MLflow would append to it."""
    path = f"{FOLDER}/{name}"
    if path in (found.path for found in client.list_artifacts(run_id, FOLDER)):
        return
    import pandas as pd

    table = pd.DataFrame(make(), dtype=object)  # text as objects: MLflow's own use of pandas 3's `str` warns
    if len(table):
        client.log_table(run_id, table, path)


def _log_traces(client: "MlflowClient", run_id: str, judged: Judgements, *, model: str, version: str) -> None:
    import mlflow

    experiment = store.experiment_id(client)
    wanted = {item.id: item for item in _sample([item for item in judged.answers if item.by == model])}
    for item in wanted.keys() - _traced(client, experiment, version):
        _log_trace(judged, wanted[item], experiment=experiment, run_id=run_id, version=version)
    mlflow.flush_trace_async_logging()
    missing = wanted.keys() - _traced(client, experiment, version)
    if missing:
        raise OSError(f"{len(missing)} of {len(wanted)} traces of answers did not arrive")


def _sample(answers: Sequence[Item]) -> Iterator[Item]:
    """Some answers of each kind, evenly spread over the prompts."""
    for kind in dict.fromkeys(item.kind for item in answers):
        own = [item for item in answers if item.kind == kind]
        yield from spread(own, STORIES_SHOWN if kind == STORY else OTHERS_SHOWN)


def _traced(client: "MlflowClient", experiment: str, version: str) -> set[str]:
    """The ids of a version's answers that are traces already."""
    found = find_traces(client, experiment, tag="model_version", value=version, most=500)
    return {str(trace.info.tags.get("item")) for trace in found}


def _log_trace(judged: Judgements, item: Item, *, experiment: str, run_id: str, version: str) -> None:
    """An answer as a trace with the judge's feedback, which MLflow stores at once or not at all."""
    import mlflow

    told = TracedAnswer(
        item=item.id,
        prompt_id=item.prompt_id,
        kind=item.kind,
        prompt=item.prompt,
        answer=item.answer,
        by=item.by,
        model_version=version,
        decoding=item.decoding,
    )
    with answer_trace(told, experiment=experiment, run_id=run_id) as trace:
        for feedback in _feedback(judged, item):
            mlflow.log_feedback(trace_id=trace, **feedback)


def _feedback(judged: Judgements, item: Item) -> Iterator[dict[str, Any]]:
    """A feedback for each axis and for each other model's answer; a failure is an error and no value."""
    from mlflow.entities import AssessmentError, AssessmentSource

    record = judged.by_item.get(item.id)
    if record is None:
        return
    source = AssessmentSource(source_type=source_of(record.judge), source_id=record.judge)
    if record.status != "ok":
        error = AssessmentError(error_code=record.status.upper(), error_message=record.reason or record.status)
        yield {"name": "grades", "source": source, "error": error}
    for axis, grade in record.grades.items():
        parts = {name: f"{value:.4g}" for name, value in grade.parts.items()}
        metadata = {**parts, "proxy": str(grade.is_proxy).lower()}
        yield {
            "name": axis, "value": grade.score, "rationale": grade.reason, "source": source, "metadata": metadata,
        }  # fmt: skip
    for other, outcome, reason in judged.verdicts.get((item.prompt_id, item.by), []):
        yield {"name": f"against_{other}", "value": outcome, "rationale": reason, "source": source}
