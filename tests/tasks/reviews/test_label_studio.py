"""Label Studio's JSON: out and back gives the same decisions; what is broken is told with its place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import select

from tasks.reviews import chains
from tasks.reviews.database import Database, open_database
from tasks.reviews.kinds import Kind
from tasks.reviews.label_studio import PROJECTS, export_tasks, import_tasks
from tasks.reviews.tables import Annotation, Assignment, Batch, Reviewer
from tests.conftest import refused
from tests.tasks.reviews.small import NOW, RUBRIC, answer, deal, person, publish, sent

KINDS: tuple[Kind, ...] = ("choice", "ranking", "rating", "correction")
Tasks = list[dict[str, Any]]

RESULTS: dict[str, Callable[[dict[str, Any]], list[dict[str, Any]]]] = {  # as Label Studio writes them
    "choice": lambda data: [result("choice", "pairwise", {"selected": "right"})],
    "ranking": lambda data: [
        result("ranking", "ranker", {"ranker": {"place_1": [ids(data)[2]], "place_2": ids(data)[:2], "_": []}})
    ],
    "rating": lambda data: [
        result("grammar", "rating", {"rating": 5}),
        result("plot", "rating", {"rating": 1}),
    ],
    "correction": lambda data: [result("correction", "textarea", {"text": ["A better story."]})],
}


def result(name: str, kind: str, value: Any) -> dict[str, Any]:
    return {"id": "abc", "from_name": name, "to_name": "answer_1", "type": kind, "value": value}


def ids(data: dict[str, Any]) -> list[str]:
    return [one["id"] for one in data["answers"]]


def exported(database: Database, *, answers: bool = False) -> Tasks:
    with database.reading() as session:
        return [task for project in PROJECTS for task in export_tasks(session, "batch-1", project, answers=answers)]


def annotated(tasks: Tasks, *, by: Any = 7) -> Tasks:
    """The tasks as they come back when somebody has done them all."""
    return [
        {
            **task,
            "id": number,
            "annotations": [
                {
                    "id": 100 + number,
                    "completed_by": by,
                    "lead_time": 2.5,
                    "result": RESULTS[task["data"]["kind"]](task["data"]),
                    "was_cancelled": False,
                }
            ],
        }
        for number, task in enumerate(tasks, start=1)
    ]


def write(folder: Path, tasks: Any) -> Path:
    path = folder / "project.json"
    path.write_text(json.dumps(tasks))
    return path


def published(database: Database, **named: Any) -> None:
    with database.session() as session:
        publish(session, **{"items": 4, "kinds": KINDS, **named})


def decisions(database: Database) -> dict[str, Any]:
    with database.reading() as session:
        return {one.item_id: (one.decision, one.milliseconds) for one in chains.live(session)}


def test_what_is_said_there_is_kept_here(review_database: Database, tmp_path: Path) -> None:
    published(review_database)
    tasks = exported(review_database)
    done = import_tasks(review_database, write(tmp_path, annotated(tasks)), rubric=RUBRIC, now=NOW)
    assert (done.kept, done.refused) == (4, {})
    shown = {task["data"]["kind"]: ids(task["data"]) for task in tasks}
    assert decisions(review_database) == {
        "batch-1/0": ({"winner": shown["choice"][1]}, 2500),
        "batch-1/1": ({"tiers": [[shown["ranking"][2]], sorted(shown["ranking"][:2])]}, 2500),
        "batch-1/2": ({"scores": {"grammar": 5, "plot": 1}}, 2500),
        "batch-1/3": ({"text": "A better story."}, 2500),
    }
    with review_database.reading() as session:
        assert [one.name for one in session.scalars(select(Reviewer))] == ["Label Studio user 7"]
        assert all(one.sides == shown[one.item.kind] for one in chains.live(session))
        assert all(one.done_at == NOW for one in session.scalars(select(Assignment)))


@pytest.mark.parametrize(
    ("results", "winner"),
    [
        ([result("neither", "choices", {"choices": ["tie"]})], "tie"),
        ([result("neither", "choices", {"choices": ["both_bad"]})], "both_bad"),
        ([result("choice", "pairwise", {"selected": "left"})], "left"),
    ],
)
def test_a_choice_may_be_neither(review_database: Database, tmp_path: Path, results: Any, winner: str) -> None:
    published(review_database, items=1)
    [task] = annotated(exported(review_database))
    task["annotations"][0]["result"] = results
    import_tasks(review_database, write(tmp_path, [task]), rubric=RUBRIC, now=NOW)
    expected = ids(task["data"])[0] if winner == "left" else winner
    assert decisions(review_database)["batch-1/0"][0] == {"winner": expected}


def test_answers_of_the_page_go_out_and_come_back_the_same(review_database: Database, tmp_path: Path) -> None:
    published(review_database, items=8, gold=2)
    with review_database.session() as session:
        ada = person(session)
        for card in deal(session, ada, 8):
            answer(session, ada, sent(card))
    path = write(tmp_path, exported(review_database, answers=True))
    with open_database(f"sqlite:///{tmp_path}/another.db") as another:
        published(another, items=8, gold=2)
        assert import_tasks(another, path, rubric=RUBRIC, now=NOW).kept == 8
        assert decisions(another) == decisions(review_database)


def test_nobody_there_sees_a_gold_item_or_a_models_name(review_database: Database) -> None:
    published(review_database, items=4, gold=3)
    tasks = exported(review_database)
    assert len(tasks) == 4
    assert not any(name in json.dumps(tasks) for name in ("finetuned", "heuristic", "winner"))


def test_the_same_file_twice_is_kept_once(review_database: Database, tmp_path: Path) -> None:
    published(review_database, double_each=1)
    path = write(tmp_path, annotated(exported(review_database)))
    import_tasks(review_database, path, rubric=RUBRIC, now=NOW)
    done = import_tasks(review_database, path, rubric=RUBRIC, now=NOW)
    assert (done.kept, done.refused) == (0, {"here already": 4})
    assert done.line == "0 answers kept; not kept: 4 here already"
    with review_database.reading() as session:
        assert len(session.scalars(select(Annotation)).all()) == 4


def test_what_has_no_place_is_counted(review_database: Database, tmp_path: Path) -> None:
    published(review_database, items=4)
    tasks = annotated(exported(review_database))
    tasks[0]["annotations"][0]["was_cancelled"] = True
    again = [{**one, "id": 9, "completed_by": {"id": 8, "email": "a@b"}} for one in tasks[1]["annotations"]]
    tasks[1]["annotations"] += again
    done = import_tasks(review_database, write(tmp_path, tasks), rubric=RUBRIC, now=NOW)
    assert (done.kept, done.refused) == (3, {"cancelled there": 1, "of items that have their answers": 1})
    with review_database.session() as session:
        session.get_one(Batch, "batch-1").closed_at = NOW
    late = import_tasks(review_database, write(tmp_path, annotated(tasks, by=9)), rubric=RUBRIC, now=NOW)
    assert late.refused == {"of a collected batch": 4}


NOTHING_RANKED = [result("ranking", "ranker", {"ranker": {"_": []}})]


def broken(change: Callable[[dict[str, Any]], Any]) -> Callable[[Tasks], Any]:
    def of(tasks: Tasks) -> Any:
        change(tasks[1])
        return tasks

    return of


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tasks: {"tasks": tasks}, r"project\.json: not a list of tasks"),
        (broken(lambda task: task.pop("annotations")), "task 2: holds no list 'annotations'; export as 'JSON'"),
        (broken(lambda task: task.pop("data")), "task 2, annotation 1: not a task that .* made: 'data' is missing"),
        (broken(lambda task: task["data"].pop("item")), "task 2, annotation 1: .*'item' is missing"),
        (broken(lambda task: task["data"].update(item="x/1")), "task 2, annotation 1: 'x/1' is no ranking of these"),
        (broken(lambda task: task["data"].update(answers=[])), "task 2, .*'batch-1/1' is no ranking of these"),
        (broken(lambda task: task["annotations"].insert(0, 5)), "task 2, annotation 1: not a task that"),
        (broken(lambda task: task["annotations"][0].update(result=[])), "not the result of a ranking: 'ranking' is"),
        (broken(lambda task: task["annotations"][0].update(result=NOTHING_RANKED)), "tiers hold each of"),
    ],
)  # fmt: skip
def test_what_is_broken_is_told_with_its_place_and_nothing_is_kept(
    review_database: Database, tmp_path: Path, change: Callable[[Tasks], Any], told: str
) -> None:
    published(review_database)
    tasks = change(annotated(exported(review_database)))
    with refused(told):
        import_tasks(review_database, write(tmp_path, tasks), rubric=RUBRIC, now=NOW)
    assert decisions(review_database) == {}


def test_what_is_no_json_is_told(review_database: Database, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("<xml/>")
    with refused(r"a\.json: not JSON: "):
        import_tasks(review_database, tmp_path / "a.json", rubric=RUBRIC, now=NOW)
    with refused(r"b\.json: can't be read: No such file"):
        import_tasks(review_database, tmp_path / "b.json", rubric=RUBRIC, now=NOW)
    with review_database.reading() as session, refused("there is no batch 'nope'"):
        export_tasks(session, "nope", PROJECTS[0])


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_a_projects_configuration_names_what_its_results_are_read_by(project: Any) -> None:
    view = ElementTree.fromstring(project.config(RUBRIC))  # noqa: S314 - made here
    names = {element.get("name") for element in view.iter()}
    wanted = {
        "choice": {"choice", "neither", "answer_1", "answer_2"},
        "ranking": {"ranking", "place_1", "place_4"},
        "rating-story": {"grammar", "plot"},
        "rating-task": {"quality"},
        "correction": {"correction"},
    }
    assert wanted[project.name] <= names
