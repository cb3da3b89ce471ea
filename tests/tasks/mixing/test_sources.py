"""Rows to examples: fields, patterns, constraints, optional columns, prompts without answers, shortening."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.mixing.example import Example
from tasks.mixing.sources import rows_examples
from tasks.tokenizer_kinds import load_tokenizer
from tests.tasks.mixing.small import TOKENIZER, checked, labelled, one_task, rows_source, write_rows, write_stories

pytestmark = pytest.mark.usefixtures("workspace")


def examples(source: dict[str, Any], *, kind: str = "classification", **changes: Any) -> list[Example]:
    if not TOKENIZER.exists():
        write_stories()
    params = checked(one_task(source, kind=kind, **changes))
    [task] = params.tasks
    [only] = task.sources
    return rows_examples(only, task, params, tokenizer=load_tokenizer(TOKENIZER))[0]


def test_every_kind_of_file_gives_the_same_examples() -> None:
    rows = labelled(20)
    write_rows(*rows)
    Path("b.jsonl.gz").write_bytes(gzip.compress(Path("own.jsonl").read_bytes()))
    with Path("b.csv").open("w") as file:
        table = csv.DictWriter(file, ["text", "label"])
        table.writeheader()
        table.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), "b.parquet")
    first = {example.id: example.split for example in examples(rows_source())}
    for name in ("b.jsonl.gz", "b.csv", "b.parquet"):
        assert {example.id: example.split for example in examples(rows_source(globs=[name]))} == first


def test_a_data_set_of_the_hub_gives_the_examples_that_its_file_gives() -> None:
    write_rows(*labelled(20))
    found = {example.id: example.split for example in examples(rows_source())}
    Path("local").mkdir()  # `datasets` reads a folder as it does a name of the hub
    write_rows(*labelled(20), name="local/train.jsonl")
    hub = {name: value for name, value in rows_source().items() if name != "globs"}
    hub |= {"kind": "hub", "dataset": "./local", "revision": None}
    read = examples(hub)
    assert {example.id: example.split for example in read} == found
    assert {example.place for example in read} == {f"./local:{n}" for n in range(1, 21)}
    assert len(examples({**hub, "records": 7})) == 7


def test_a_folder_of_one_s_own() -> None:
    Path("elsewhere").mkdir()
    write_rows(*labelled(3), name="elsewhere/own.jsonl")
    assert {example.place for example in examples(rows_source(), folder="elsewhere")} == {
        f"elsewhere/own.jsonl:{n}" for n in (1, 2, 3)
    }


def test_the_choice_of_examples_does_not_depend_on_their_order() -> None:
    write_rows(*labelled(60))
    chosen = {example.id for example in examples(rows_source(examples=10)) if example.split == "train"}
    write_rows(*reversed(labelled(60)))
    assert {example.id for example in examples(rows_source(examples=10)) if example.split == "train"} == chosen
    assert len(chosen) == 10


def test_labels_are_grouped() -> None:
    write_rows(*labelled(20))
    found = examples(rows_source(labels={"one": ["good"], "two": ["bad"]}))
    assert {example.label for example in found} == {"one", "two"}


def test_an_empty_optional_column_leaves_no_gap() -> None:
    write_rows({"text": "Say it.", "input": "", "label": "x"}, {"text": "Say it.", "input": "now", "label": "y"})
    fields = {"text": "text", "input": "input", "label": "label"}
    source = rows_source(fields=fields, optional=["input"], templates=["{text}\n\n{input}"])
    assert {example.prompt for example in examples(source, kind="assistant")} == {"Say it.", "Say it.\n\nnow"}


def test_prompts_without_an_answer_are_for_test_and_carry_what_code_can_check() -> None:
    write_rows({"prompt": "Words: red, ball\nStory:"}, {"prompt": "Random sentence: He ran.\nStory:"})
    patterns = {
        "words": {"column": "prompt", "pattern": "(?m)^Words: (.+)$"},
        "sentence": {"column": "prompt", "pattern": "(?m)^Random sentence: (.+)$"},
    }
    source = rows_source(
        fields={"prompt": "prompt"}, patterns=patterns, templates=["{prompt}"], answer=None, split="test",
        split_by="prompt", document=None, constraints={"words": "words", "sentence": "sentence", "length": [5, 50]},
    )  # fmt: skip
    found = examples(source, kind="assistant")
    assert {example.split for example in found} == {"test"}
    assert [example.constraints for example in found] == [
        {"words": ["red", "ball"], "length": [5, 50]},
        {"sentence": "He ran.", "length": [5, 50]},
    ]
    assert json.loads(str(found[0].row["references"])) == []


def test_a_long_document_is_cut_at_a_sentence_so_that_all_fits() -> None:
    from tasks.mixing.tokens import encode

    write_rows({"text": "Mina found a ball. " * 80, "label": "good"}, {"text": "Mina ran.", "label": "bad"})
    found = examples(rows_source(shorten="text"), context_tokens=128)
    long, short = sorted(found, key=lambda example: -len(example.document))
    assert long.document.endswith("ball.")
    assert len(long.document) < 19 * 80
    assert short.document == "Mina ran."
    encoded = encode(found, load_tokenizer(TOKENIZER))
    assert max(one.tokens for one in encoded) <= 128
    assert max(one.tokens for one in encoded) > 128 - 24
