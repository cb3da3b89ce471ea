"""The exported folder in lm-eval, on tasks of files beside it: its figures are ours."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.scoring import continuation_bits, document_bits
from tasks.exporting.hf import export_hf
from tasks.exporting.source import Source
from tests.conftest import skip_missing
from tests.tasks.exporting import made

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

TASK = """\
task: fledgling_{name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}
test_split: test
"""
CHOICE = """\
output_type: multiple_choice
doc_to_text: question
doc_to_choice: choices
doc_to_target: answer
target_delimiter: ""
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
STORIES = """\
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: text
metric_list: [{metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}]
"""


def lm_eval(folder: Path, name: str, how: str, rows: list[dict[str, Any]], *, model: str) -> dict[str, float]:
    """The figures of a task that is written into a folder; model: more of the adapter's arguments."""
    program = shutil.which("lm_eval")
    if program is None:
        skip_missing("lm_eval on the PATH (it lives in an environment of its own; docs/serving.md)")
    (folder / f"{name}.yaml").write_text(TASK.format(name=name) + how)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [program, "--model", "hf", "--model_args", f"pretrained={folder / 'out'},dtype=float32{model}",
               "--include_path", ".", "--tasks", f"fledgling_{name}", "--device", "cpu", "--batch_size", "4",
               "--output_path", "results"]  # fmt: skip
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    ran = subprocess.run(
        command, cwd=folder, env={**os.environ, **offline}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    (told,) = (folder / "results").rglob("results_*.json")
    return dict(json.loads(told.read_text())["results"][f"fledgling_{name}"])


def ids(source: Source, text: str) -> list[int]:
    return list(source.tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A model that has left; its folder is out."""
    source = made.source(tmp_path / "model")
    export_hf(source, tmp_path / "out")
    return source


def test_of_some_choices_it_takes_ours(source: Source, tmp_path: Path) -> None:
    ask, choices = "Where is the fox?", ["in the garden", "by the lake", "on the hill"]
    (costs,) = continuation_bits(source.decoder, [ids(source, ask)], [[ids(source, choice) for choice in choices]])
    ours = choices[int(np.argmin([cost.sum() for cost in costs]))]
    rows = [{"question": ask, "choices": choices, "answer": choice} for choice in (*choices, ours)]
    assert lm_eval(tmp_path, "places", CHOICE, rows, model="")["acc,none"] == 2 / 4


def test_its_bits_of_a_byte_are_ours(source: Source, tmp_path: Path) -> None:
    stories = made.TEXTS[:4]
    bits = document_bits(source.decoder, [ids(source, text) for text in stories]).sum()
    rows = [{"text": text} for text in stories]
    # it puts the end token in front itself here, and the tokenizer would a second time
    told = lm_eval(tmp_path, "stories", STORIES, rows, model=",add_bos_token=False")["bits_per_byte,none"]
    assert told == pytest.approx(bits / sum(len(text.encode()) for text in stories), rel=1e-4)
