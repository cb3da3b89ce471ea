"""What stands in MLflow of a judge's verdicts: figures, tables, traces with feedback, files; all of it once."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tasks.judging.kept import write_lines
from tasks.judging.records import Grade, Item, PairRecord, RankRecord, ScoreRecord
from tasks.register import NAME, register
from tasks.registry import judgements, store
from tasks.registry.judgements import Judgements, answers_table, order_of, rankings_table, source_of
from tests.tasks.judging.contests import JUDGE, contest, grades, item, verdict
from tests.tasks.registry.conftest import dvc, write_json

pytestmark = pytest.mark.filterwarnings(  # MLflow of its own classes and of its own use of pandas
    "ignore:.*type hint:UserWarning", "ignore:Operation with range is deprecated"
)

FIGURES = {
    "judge": JUDGE,
    "judge_coverage": 0.9,
    "judge_flipped_share": None,
    "finetuned_grammar_score": 4.5,
    "finetuned_vs_base_win_rate": 0.8,
    "finetuned_vs_base_win_rate_low": 0.7,
    "finetuned_vs_base_win_rate_high": 0.9,
    "finetuned_vs_base_length_controlled_win_rate": 0.75,
    "finetuned_vs_base_verdicts": 8,
}
STAGES = """
  label:
    cmd: echo
    outs: [data/sampled.jsonl, data/labelled]
    metrics: [metrics/label.json]
  judge:
    cmd: echo
    deps: [models/base, models/finetuned]
    outs: [data/judged, data/report/judge.html, metrics/leaderboard.md, metrics/judge_scorecard.md]
    metrics: [metrics/judge.json, metrics/judge_scorecard.json]
"""


def story_answers() -> tuple[list[Item], list[PairRecord], list[ScoreRecord]]:
    answers, pairs = contest("finetuned", "base", ["first", "first", "second", "tie", "first", "first", None])
    others, on_others = contest("finetuned", "base", ["first", "tie"], kind="translation")
    answers, pairs = [*answers, *others], [*pairs, *on_others]
    scores = [
        grades(found, {"grammar": 4.5 if found.by == "finetuned" else 2.0, "creativity": 3.0}) for found in answers
    ]
    scores[0] = grades(answers[0], None, status="unsupported")
    return answers, pairs, scores


def four_answers() -> tuple[list[Item], RankRecord]:
    items = [item("finetuned", "a prompt", f"Answer {number}.") for number in range(1, 5)]
    one, two, three, four = (found.id for found in items)
    tiers = ((two,), (four, one), (three,))
    return items, RankRecord(judge="heuristic-a@0", items=(one, two, three, four), status="ok", tiers=tiers)


@pytest.fixture
def judged(chain: Path) -> Path:
    """The finished chain with what a judge said of its models."""
    answers, pairs, scores = story_answers()
    sampled, ranking = four_answers()
    for name, values in (("answers", answers), ("pairs", pairs), ("scores", scores)):
        write_lines(chain / "data" / "judged" / f"{name}.jsonl", values)
    write_lines(chain / "data" / "sampled.jsonl", sampled)
    write_lines(chain / "data" / "labelled" / "rankings.jsonl", [ranking])
    for path, text in {
        "data/report/judge.html": "<p>who wins",
        "metrics/leaderboard.md": "# Leaderboard",
        "metrics/judge_scorecard.md": "# Judges",
    }.items():
        (chain / path).parent.mkdir(parents=True, exist_ok=True)
        (chain / path).write_text(text)
    write_json(chain / "metrics" / "judge.json", FIGURES)
    write_json(chain / "metrics" / "judge_scorecard.json", {"heuristic_b_axes_failed": ["creativity"]})
    write_json(chain / "metrics" / "label.json", {"pairs": 6})
    with (chain / "dvc.yaml").open("a") as file:
        file.write(STAGES)
    dvc(chain, "commit", "-q", "-f")
    return chain


def traces(version: str = f"{NAME}/1") -> list[Any]:
    client = store.connect()
    where, wanted = [store.experiment_id(client)], f"tags.model_version = '{version}'"
    return list(client.search_traces(locations=where, filter_string=wanted))


def table(run_id: str, name: str, folder: Path) -> list[dict[str, Any]]:
    path = store.connect().download_artifacts(run_id, f"judgements/{name}", str(folder))
    held = json.loads(Path(path).read_text())
    return [dict(zip(held["columns"], row, strict=True)) for row in held["data"]]


def test_the_run_of_a_version_holds_all_that_was_judged(judged: Path, tmp_path: Path) -> None:
    run_id = register(None).run_id

    client = store.connect()
    run = client.get_run(run_id)
    assert run.data.metrics["judge/finetuned_grammar_score"] == 4.5
    assert run.data.metrics["judge/finetuned_vs_base_win_rate"] == 0.8
    files = {found.path for folder in ("judgements", "metrics") for found in client.list_artifacts(run_id, folder)}
    assert {
        "judgements/answers.json", "judgements/rankings.json", "judgements/judge.html",
        "metrics/judge_scorecard.json", "metrics/judge_scorecard.md", "metrics/leaderboard.md",
    } <= files  # fmt: skip
    rows = table(run_id, "answers.json", tmp_path)
    assert len(rows) == 18
    ours = next(row for row in rows if row["model"] == "finetuned" and row["prompt_id"] == "story 1")
    assert (ours["grammar"], ours["grammar_reason"], ours["against_base"]) == (4.5, "grammar is 4.5", "won")
    assert ours["against_base_reason"] == "first reads better"
    failed = next(row for row in rows if row["status"] == "unsupported")
    assert (failed["grammar"], failed["overall"], failed["reason"]) == (None, None, "because of unsupported")
    assert "mlflow.loggedArtifacts" in run.data.tags


def test_a_sample_are_traces_with_the_judges_feedback(judged: Path) -> None:
    run_id = register(None).run_id

    found = traces()
    assert len(found) == 5 + 1
    assert {trace.info.trace_metadata["mlflow.sourceRun"] for trace in found} == {run_id}
    by_prompt = {trace.info.tags["prompt_id"]: trace for trace in found}
    trace = by_prompt["story 1"]
    (span,) = trace.data.spans
    assert (span.inputs, span.outputs) == ({"prompt": "Tell of story 1."}, "finetuned of story 1")
    feedback = {told.name: told for told in trace.info.assessments}
    assert set(feedback) == {"grammar", "creativity", "against_base"}
    grammar = feedback["grammar"]
    assert (grammar.value, grammar.rationale) == (4.5, "grammar is 4.5")
    assert (grammar.source.source_type, grammar.source.source_id) == ("CODE", JUDGE)
    assert feedback["creativity"].metadata["proxy"] == "true"
    assert feedback["against_base"].value == "won"
    (failed, *_) = [told for told in by_prompt["story 0"].info.assessments if told.name == "grades"]
    assert failed.value is None
    assert failed.feedback.error.error_code == "UNSUPPORTED"


def test_the_version_says_how_it_was_judged(judged: Path) -> None:
    register(None)
    version = store.connect().get_model_version(NAME, "1")
    told = "finetuned beats base: 80.0% [70.0%, 90.0%] of 8 verdicts, 75.0% at equal lengths"
    assert version.tags["judged_vs_base"] == told
    assert (version.tags["judge"], version.tags["judge_may_not_decide"]) == (JUDGE, "creativity")
    assert f"- {told}\n" in version.description
    assert (
        "**may not decide a promotion**, since the judge failed its own examination there: creativity"
        in version.description
    )


def test_a_person_adds_theirs_beside_the_judges(judged: Path) -> None:
    import mlflow
    from mlflow.entities import AssessmentSource

    register(None)
    trace = next(found for found in traces() if found.info.tags["prompt_id"] == "story 1")
    person = AssessmentSource(source_type="HUMAN", source_id="reader@example.org")
    mlflow.log_feedback(trace_id=trace.info.trace_id, name="grammar", value=3, rationale="a comma", source=person)
    register(None)

    trace = next(found for found in traces() if found.info.tags["prompt_id"] == "story 1")
    said = {told.source.source_type: told.value for told in trace.info.assessments if told.name == "grammar"}
    assert said == {"CODE": 4.5, "HUMAN": 3}


def stored(run_id: str, folder: Path) -> tuple[int, int, list[str]]:
    rows = len(table(run_id, "answers.json", folder)) + len(table(run_id, "rankings.json", folder))
    return len(traces()), rows, sorted(told.name for trace in traces() for told in trace.info.assessments)


def test_sent_twice_it_is_stored_once(judged: Path, tmp_path: Path) -> None:
    run_id = register(None).run_id
    before = stored(run_id, tmp_path)
    register(None)
    assert stored(run_id, tmp_path) == before
    store.connect().delete_tag(run_id, judgements.DONE)  # as if it had been killed before it said so
    register(None)
    assert stored(run_id, tmp_path) == before


def test_what_broke_off_in_the_middle_is_completed(
    judged: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tasks.stage import UserError

    def break_off(*_: object, **__: object) -> None:
        raise OSError("no answer")

    with monkeypatch.context() as away:
        away.setattr(judgements, "_log_traces", break_off)
        with pytest.raises(UserError, match="no answer; the chain's own results are safe"):
            register(None)
    assert traces() == []

    run_id = register(None).run_id
    assert stored(run_id, tmp_path)[:2] == (6, 18 + 1)
    assert store.connect().get_model_version_by_alias(NAME, "candidate").version == 1


def test_a_chain_without_a_judge_sends_nothing(chain: Path) -> None:
    run_id = register(None).run_id
    client = store.connect()
    assert traces() == []
    assert client.list_artifacts(run_id, "judgements") == []
    assert judgements.DONE not in client.get_run(run_id).data.tags


def test_verdicts_that_are_not_the_locks_are_not_sent(judged: Path) -> None:
    (judged / "data" / "judged" / "answers.jsonl").write_text("")
    run_id = register(None).run_id
    assert store.connect().list_artifacts(run_id, "judgements") == []


def test_a_moved_folder_takes_its_traces_along(judged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(None)
    there = judged.parent / "moved"
    judged.rename(there)
    monkeypatch.chdir(there)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    addresses = {trace.info.tags["mlflow.artifactLocation"] for trace in traces()}
    assert len(addresses) == 6
    assert all(address.startswith(f"{there.as_uri()}/") for address in addresses)


def test_a_partial_order_is_recorded_as_one() -> None:
    items, ranking = four_answers()
    assert order_of(ranking) == "2 > 1 = 4 > 3"
    failed = RankRecord(judge="j", items=ranking.items[:2], status="refused", reason="no")
    held = rankings_table(items, [ranking, failed])
    assert held["order"] == ["2 > 1 = 4 > 3", ""]
    assert held["answer_2"] == ["Answer 2.", "Answer 2."]
    assert held["answer_4"] == ["Answer 4.", None]
    assert held["tiers"][0] == [[items[1].id], [items[3].id, items[0].id], [items[2].id]]
    assert held["status"] == ["ok", "refused"]


def test_the_table_says_both_sides_of_each_pair() -> None:
    ours, theirs, third = (item(by, "a") for by in ("new", "old", "older"))
    judged = Judgements(
        answers=[third, theirs, ours], scores=[], pairs=[verdict(ours, theirs, "first"), verdict(third, ours, "tie")]
    )
    held = answers_table(judged)
    assert held["model"] == ["older", "old", "new"]
    assert held["against_new"] == ["tied", "lost", None]
    assert held["against_old"] == [None, None, "won"]
    assert held["against_older"] == [None, None, "tied"]
    assert held["status"] == ["not judged"] * 3


@pytest.mark.parametrize(
    ("judge", "source"),
    [("heuristic-a@12", "CODE"), ("heuristic-b@12", "CODE"), ("endpoint@12", "LLM_JUDGE"), ("gpt@12", "LLM_JUDGE")],
)
def test_code_is_never_called_an_llm_judge(judge: str, source: str) -> None:
    assert source_of(judge) == source


def records() -> Sequence[Any]:
    answers, pairs, scores = story_answers()
    _, ranking = four_answers()
    detailed = ScoreRecord(
        judge="j", item="i", status="ok", grades={"a": Grade(score=1.5, reason="r", parts={"p": 0.25})}
    )
    return [*answers, *pairs, *scores, ranking, detailed]


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    from tasks.judging.kept import read_pairs, read_rankings, read_scores
    from tasks.stage import UserError

    readers = {PairRecord: read_pairs, ScoreRecord: read_scores, RankRecord: read_rankings}
    for kind, read in readers.items():
        own = [record for record in records() if isinstance(record, kind)]
        path = tmp_path / f"{kind.__name__}.jsonl"
        write_lines(path, own)
        assert read(path) == own
        path.write_text(json.dumps(asdict(own[0])) + '\n{"judge": 3}\n')
        with pytest.raises(UserError, match=rf"{kind.__name__}.jsonl:2: not a judge's record"):
            read(path)
