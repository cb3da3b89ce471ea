"""The stage: splits hold, figures add up, the same bytes each time, and nothing is left where something is wrong."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from model.documents import read_documents
from tasks.chat import encode_chat
from tasks.mixing.declarations import MixParams
from tasks.mixing.example import SPLITS
from tasks.stage import UserError, load_params
from tasks.tokenizer_kinds import load_tokenizer
from tests.conftest import refused
from tests.tasks.mixing.small import (
    CLEAN,
    INSTRUCTIONS,
    METRICS,
    MIXTURE,
    TOKENIZER,
    labelled,
    one_task,
    parameters,
    rows_source,
    run_mix,
    write_rows,
    write_stories,
)  # fmt: skip

END_OF_TURN, END = 2, 0


@pytest.fixture(autouse=True)
def stories(workspace: Path) -> None:
    write_stories()


def rows(split: str) -> list[dict[str, Any]]:
    return list(pq.read_table(MIXTURE / f"{split}.parquet").to_pylist())


def hashes() -> dict[str, str]:
    files = [*MIXTURE.rglob("*"), METRICS]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}


def test_the_default_mixture_holds_what_it_says() -> None:
    figures = run_mix()
    first = hashes()
    rejected = {key: value for key, value in figures.items() if key.startswith("rejected_")}
    assert figures["records_in"] == figures["records_kept"] + sum(rejected.values())
    assert len(rows("rejected")) == sum(rejected.values())
    for split in SPLITS:
        assert len(rows(split)) == sum(figures[f"{task}_{split}"] for task in json.loads(tasks_json()))

    groups = {split: {row["group"] for row in rows(split)} for split in SPLITS}
    assert not groups["train"] & (groups["validation"] | groups["test"] | groups["written"])
    assert not groups["validation"] & (groups["test"] | groups["written"])
    _check_rows()
    _check_tokens(figures)
    pages = {path.name for path in Path("var/data_docs").iterdir()}
    assert pages == {"index.html", "mixture.html", "mixture-tasks.html"}

    run_mix()
    assert hashes() == first


def tasks_json() -> str:
    return (MIXTURE / "tasks.json").read_text()


def _check_rows() -> None:
    every = [row for split in SPLITS for row in rows(split)]
    assert len({row["id"] for row in every}) == len(every)
    for row in every:
        messages = json.loads(row["messages"])
        assert [message["role"] for message in messages] == ["user", "assistant"]
        assert messages[-1]["content"] == row["answer"]
        assert json.loads(row["references"])[0] == row["answer"]
        assert bool(row["label"]) == (row["kind"] == "classification")
    sentence = "Nobody said a word."  # in every story: asked in an evaluation split, never trained on
    assert not [row for row in rows("train") if row["document"] == sentence]
    assert [row for row in rows("written") if row["document"] == sentence]
    unanswered = [row for row in rows("test") if not row["answerable"]]
    assert {row["answer"] for row in unanswered} == {"The story does not say."}
    asked = [row for row in every if json.loads(row["constraints"]).get("words")]
    assert all(word in row["messages"] for row in asked for word in json.loads(row["constraints"])["words"])


def _check_tokens(figures: dict[str, Any]) -> None:
    """The token files are what the rows say, and a target is the answer with its end of turn, nothing else."""
    tokenizer = load_tokenizer(TOKENIZER)
    folder = MIXTURE / "tokens"
    names = json.loads((folder / "meta.json").read_text())["tasks"]
    for split in ("train", "validation"):
        documents = read_documents(folder, split)
        taught = np.load(folder / f"{split}.taught.npy")
        tasks = np.load(folder / f"{split}.tasks.npy")
        assert (len(documents), len(taught), len(tasks)) == (len(rows(split)), len(documents.tokens), len(documents))
        assert (taught.dtype, tasks.dtype) == (np.uint8, np.int16)
        for index, row in enumerate(rows(split)):
            ids = documents.document(index)
            assert ids.tolist() == [*encode_chat(tokenizer, json.loads(row["messages"])).ids, END]
            mask = taught[documents.offsets[index] : documents.offsets[index + 1]].astype(bool)
            *answer, last = ids[mask].tolist()
            assert (tokenizer.decode(answer), last) == (row["answer"], END_OF_TURN)
            assert names[tasks[index]] == row["task"]
            assert documents.bytes[index] == len(row["answer"].encode())
    assert figures["train_tokens"] == len(read_documents(folder, "train").tokens)


def test_files_are_split_by_source_and_instructions_are_for_training_alone() -> None:
    write_rows(*(row for row in labelled(60) for _ in range(2)))
    made = [{"instruction": f"Say {n}.", "input": "", "output": "good", "origin": "self-instruct: m"} for n in range(3)]
    write_rows(*made, name=str(INSTRUCTIONS))
    figures = run_mix(one_task(rows_source(), split={"validation": 0.1, "test": 0.3, "seed": 1}))
    assert figures["rejected_duplicate"] == 60
    texts = [{row["document"] for row in rows(split)} - {""} for split in SPLITS]
    assert sum(map(len, texts)) == len(set().union(*texts)) == 60
    assert [{row["origin"] for row in rows(split)} for split in SPLITS[:3]] == [
        {"own.jsonl", "self-instruct: m"}, {"own.jsonl"}, {"own.jsonl"},
    ]  # fmt: skip


def test_a_failed_expectation_stops_with_examples_and_leaves_the_old_mixture() -> None:
    MIXTURE.mkdir(parents=True)
    (MIXTURE / "old").touch()
    write_rows(*labelled(60))
    expected = {"train_examples": 500, "test_examples": 1, "label_examples": 40, "task_share": [0.01, 1.0]}
    with pytest.raises(UserError) as caught:
        run_mix(one_task(rows_source(), expected=expected))
    said = str(caught.value)
    assert "mixture-tasks: expect_column_values_to_be_between(column=train_examples, min_value=500" in said
    assert re.search(r"for example own \('train_examples \d+'", said)
    assert "column=rarest_class_examples" in said
    assert [path.name for path in MIXTURE.iterdir()] == ["old"]
    assert sorted(path.name for path in MIXTURE.parent.iterdir() if "partial" in path.name) == []
    assert not METRICS.exists()


LONG = "word " * 700


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in rows_source().items() if name != key}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([{"text": "a"}], "task 'own': own.jsonl:1: no field 'label'; there is 'text'"),
        ([*labelled(1), {"text": "a", "label": " "}], "task 'own': own.jsonl:2: field 'label' is empty"),
        ([{"text": "a", "label": ["b", 1]}], "task 'own': own.jsonl:1: field 'label' must be text, got list"),
        ([*labelled(2), "{"], "task 'own': own.jsonl:3: not valid JSON"),
        (["[]"], "own.jsonl:1: expected an object with fields, got list"),
        ([], r"task 'own': source 'own' yields nothing \(own.jsonl\)"),
        ([{"text": f"note {n}", "label": "good"} for n in range(9)], "its train split holds the class 'good'"),
        ([*labelled(9), {"text": "a", "label": LONG}], r"task 'own': own.jsonl:10: the answer has \d+ tokens"),
    ],
)  # fmt: skip
def test_bad_rows_are_one_line_with_task_and_row(written: list[Any], said: str) -> None:
    write_rows(*written)
    with refused(said):
        run_mix(one_task(rows_source()))
    assert not MIXTURE.exists()


def test_bad_rows_can_be_kept_apart() -> None:
    written = [*labelled(60), {"text": "a"}, "{", {"text": "b", "label": ""}, {"text": "c", "label": LONG}]
    write_rows(*written)
    figures = run_mix(one_task(rows_source(), bad_rows="keep apart"))
    apart = {row["reason"]: row["detail"] for row in rows("rejected")}
    assert {reason: detail.split(": ")[0] for reason, detail in apart.items()} == {
        "missing_field": "own.jsonl:61", "unreadable": "own.jsonl:62", "empty_answer": "own.jsonl:63",
        "too_long": "own.jsonl:64",
    }  # fmt: skip
    assert figures["records_in"] == len(written)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (rows_source(globs=["none.jsonl"]), "task 'own', source 'own': no file matches 'none.jsonl'"),
        (rows_source(globs=["own.txt"]), "own.txt: unknown kind of file; allowed: .jsonl, .csv"),
        (
            {**without("globs"), "kind": "hub", "dataset": "./none", "revision": None},
            r"task 'own': source 'own': can't read hub data set ./none@newest",
        ),
        (rows_source(labels={"fine": ["good"]}), r"own.jsonl:2: label 'bad' stands in no group of 'labels'"),
    ],
)  # fmt: skip
def test_bad_sources_are_one_line(source: dict[str, Any], said: str) -> None:
    write_rows(*labelled(6))
    Path("own.txt").write_text("a")
    with refused(said):
        run_mix(one_task(source))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("own.jsonl", b'{"text": "' + b"a" * 2_000 + b'"}', "1: the line is longer than mix.max_row_bytes = 1000 "),
        ("own.jsonl.gz", b"no gzip", "1: not a whole gzip file"),
        ("own.csv", b'text,label\n"a', "2: not valid CSV"),
        ("own.csv", b"text,label\ncaf\xe9,b\n", "2: not UTF-8"),
        ("own.parquet", b"PAR1", " not a Parquet file that can be read"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_one_line_with_its_task(name: str, content: bytes, said: str) -> None:
    Path(name).write_bytes(content)
    with refused(f"^task 'own': {name}:{said}"):
        run_mix(one_task(rows_source(globs=[name]), max_row_bytes=1_000))


def test_a_source_that_is_mostly_too_long_says_what_helps() -> None:
    write_rows(*({"text": f"{n} {LONG}", "label": "good"} for n in range(9)))
    with refused(r"9 of 9 examples do not fit .*'shorten'"):
        run_mix(one_task(rows_source()))


def test_the_safety_policy_of_prepare_applies_to_files() -> None:
    policy = {"allowed": [], "categories": {"weapons": {"action": "reject", "words": ["gun"]}}}
    Path("params.yaml").write_text(yaml.safe_dump({"prepare": {"safety": policy, "text": {}}}))
    write_rows(*labelled(60), {"text": "He has a gun.", "label": "bad"})
    assert run_mix(one_task(rows_source(), safety=True))["rejected_unsafe"] == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"instructions": {**parameters()["instructions"], "task": "asistant"}}, "unknown task 'asistant'; there are"),
        ({"tasks": parameters()["tasks"] + parameters()["tasks"][:1]}, "two tasks are called 'classification'"),
        ({"evaluation_examples": {"test": 1}}, "evaluation_examples: give each of test, validation, written"),
        ({"unknown": 1}, "unknown key 'mix.unknown'"),
    ],
)
def test_impossible_parameters_are_refused(changes: dict[str, Any], said: str) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"mix": parameters(**changes)}))
    with refused(said):
        load_params(MixParams, "mix")


def test_the_figures_that_a_task_asks_for_are_written_down_and_an_unknown_one_is_refused() -> None:
    write_rows(*labelled(60))
    section = one_task(rows_source())
    section["tasks"][0]["metrics"] = ["accuracy"]
    run_mix(section)
    assert json.loads(tasks_json())["own"]["metrics"] == ["accuracy"]
    section["tasks"][0]["metrics"] = ["accuracy", "bleu"]
    Path("params.yaml").write_text(yaml.safe_dump({"mix": section}))
    with refused(r"unknown metric 'bleu'; classification knows accuracy, macro_f1, roc_auc"):
        load_params(MixParams, "mix")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (rows_source(templates=["{txt}"]), "template '{txt}' names the unknown column 'txt'; there are text, label"),
        (rows_source(templates=["{text.x}"]), "between braces stands a column's name and nothing else"),
        (rows_source(templates=["{text"]), "expected '}' before end of string"),
        (rows_source(split_by="story"), "unknown column 'story'; there are text, label"),
        (rows_source(answer=None), "without an answer it can only be split: test"),
        (rows_source(patterns={"part": {"column": "text", "pattern": "x"}}), "0 groups"),
        (rows_source(kind="storybok"), "sources.0.kind' is 'storybok'; allowed: 'storybook', 'files', 'hub'"),
        ({**rows_source(), "kind": "storybook", "view": "swedish"}, "unknown key|Extra inputs"),
        (
            {"name": "s", "kind": "storybook", "view": "swedish", "templates": ["{sentence}"]},
            "task 'own': view 'swedish' is for translation",
        ),
        (
            {"name": "s", "kind": "storybook", "view": "feeling", "templates": ["{words}"]},
            "names the unknown column 'words'; there are story",
        ),
    ],
)  # fmt: skip
def test_impossible_sources_are_refused_with_their_line(source: dict[str, Any], said: str) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"mix": one_task(source)}, sort_keys=False))
    with refused(r"^params.yaml:\d+: ") as caught:
        load_params(MixParams, "mix")
    assert re.search(said, str(caught.value)), caught.value


def test_clean_data_without_a_split_is_one_line() -> None:
    (CLEAN / "test.parquet").unlink()
    with refused(r"test.parquet: no such file; the stage prepare makes it"):
        run_mix()
