"""Bad parameters through the whole command: one line with file, line and key, exit code 1, the good state intact."""

import re
from typing import Any

import pytest

from tests.e2e.workspace import Workspace


def line_of(workspace: Workspace, pattern: str, *, after: str) -> int:
    lines = (workspace.folder / "params.yaml").read_text().splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(f"{after}:"))
    return next(at for at, line in enumerate(lines, start=1) if at > start and re.match(pattern, line))


@pytest.mark.parametrize(
    ("params", "stage", "pattern", "told"),
    [
        ({"tokenize__vocabulary": 600}, "tokenize", r"  vocabulary:", "unknown key 'tokenize.vocabulary'; allowed"),
        ({"tokenize__vocabulary_size": "many"}, "tokenize", r"  vocabulary_size:", "'tokenize.vocabulary_size': "),
        ({"pretrain__model__n_heads": 1.5}, "pretrain", r"    n_heads:", "'pretrain.model.n_heads': "),
        ({"prepare__split__test": 1.5}, "prepare", r"    test:", "'prepare.split.test': "),
    ],
)
def test_a_wrong_key_or_value_is_one_line(
    changeable: Workspace, params: dict[str, Any], stage: str, pattern: str, told: str
) -> None:
    changeable.set_params(**params)
    wanted = f"{stage}: params.yaml:{line_of(changeable, pattern, after=stage)}: {told}"
    before = changeable.outs()

    done = changeable.run("dvc", "repro", stage)

    assert done.returncode == 1 or done.returncode == 255
    own = [line for line in done.stderr.splitlines() if line.startswith(f"{stage}: ")]
    assert len(own) == 1
    assert own[0].startswith(wanted)
    assert "Traceback" not in done.stdout + done.stderr
    assert changeable.outs() == before


def test_an_unknown_profile_is_one_line(changeable: Workspace) -> None:
    before = (changeable.folder / "params.yaml").read_bytes()
    done = changeable.fledgling("run", "--profile", "huge")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("fledgling: there is no profile 'huge'; there is ")
    assert "laptop" in line
    assert (changeable.folder / "params.yaml").read_bytes() == before
