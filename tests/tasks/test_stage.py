"""What every stage shares: parameters, the command line, one line on bad input."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from tasks import stage
from tasks.stage import Params, UserError


class Red(Params):
    kind: Literal["red"]
    depth: int


class Blue(Params):
    kind: Literal["blue"]
    names: tuple[str, ...]


class PaintParams(Params):
    """What the stage of these tests is told."""

    layers: int = Field(ge=1)
    name: str = "none"
    colours: tuple[Annotated[Red | Blue, Field(discriminator="kind")], ...] = ()


GOOD = """\
paint:
  layers: 2
  name: ${PAINTER:-nobody}
  colours:
    - {kind: red, depth: 3}
    - kind: blue
      names: [sky]
"""


def paint(params: PaintParams, *, canvas: Path, brushes: list[Path], out_file: Path) -> None:
    """Paints."""
    stage.timings(strokes_per_s=12.34567)
    for brush in brushes:
        if not brush.exists():
            raise UserError(f"{brush}: no such brush")
    stage.write_text(out_file, f"{params.layers} {canvas}")


@pytest.fixture
def params_file(workspace: Path) -> Path:
    path = workspace / "params.yaml"
    path.write_text(GOOD)
    return path


def refusal(text: str, section: str = "paint") -> str:
    Path("params.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        stage.load_params(PaintParams, section)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_section_becomes_frozen_parameters(params_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = stage.load_params(PaintParams, "paint")
    assert params == PaintParams(
        layers=2, name="nobody", colours=(Red(kind="red", depth=3), Blue(kind="blue", names=("sky",)))
    )
    with pytest.raises(ValueError, match="frozen"):
        params.layers = 3  # type: ignore[misc]
    monkeypatch.setenv("PAINTER", "Mina")
    assert stage.load_params(PaintParams, "paint").name == "Mina"


def test_a_variable_that_is_not_set_is_named(params_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAINTER", raising=False)
    said = refusal(GOOD.replace("${PAINTER:-nobody}", "${PAINTER}"))
    assert said == "params.yaml: paint.name: the environment variable PAINTER is not set"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("layers: 2", "layer: 2", ["params.yaml:2:", "'paint.layer'", "layers, name, colours"]),
        ("layers: 2", "layers: two", ["params.yaml:2:", "'paint.layers'", "integer", "'two'"]),
        ("layers: 2", "layers: 2.5", ["params.yaml:2:", "'paint.layers'", "2.5"]),
        ("layers: 2", "layers: 0", ["params.yaml:2:", "'paint.layers'", "greater than or equal to 1"]),
        ("layers: 2", 'layers: "2"', ["params.yaml:2:", "'paint.layers'", "'2'"]),
        ("layers: 2", "layers: 2026-01-01", ["params.yaml:2:", "'paint.layers'", "2026-01-01"]),
        ("layers: 2", "layers: .nan", ["params.yaml:2:", "'paint.layers'"]),
        ("  layers: 2\n", "", ["'paint.layers' is missing"]),
        ("depth: 3", "depth: 3, width: 1", ["params.yaml:5:", "width'", "kind, depth"]),
        ("kind: red", "kind: green", ["params.yaml:5:", "'green'", "'red', 'blue'"]),
        ("kind: red, ", "", ["params.yaml:5:", "kind' is missing"]),
        ("      names: [sky]", "      names: [sky]\n      nams: []", ["params.yaml:8:", "nams'", "kind, names"]),
        ("[sky]", "[1]", ["params.yaml:7:", "names", "got 1"]),
        ("layers: 2", "layers: [", ["params.yaml:", "not valid YAML"]),
        ("  name", "  layers: 3\n  name", ["params.yaml:3:", "not valid YAML", "duplicate key"]),
        ("paint:", "print:", ["no section 'paint'", "print"]),
    ],
)
def test_each_mistake_is_one_line_with_its_place(
    params_file: Path, before: str, after: str, expected: list[str]
) -> None:
    assert before in GOOD
    said = refusal(GOOD.replace(before, after))
    assert all(part in said for part in expected), said


@pytest.mark.parametrize("text", ["paint:\n", "paint: 3\n", "paint: [1, 2]\n", "\npaint: red\n"])
def test_a_section_that_holds_no_keys_is_one_line(workspace: Path, text: str) -> None:
    assert "'paint' must hold keys: layers" in refusal(text)


@pytest.mark.parametrize("text", ["", "- a\n", "just words"])
def test_a_file_of_no_sections_is_one_line(workspace: Path, text: str) -> None:
    assert "params.yaml: expected a mapping" in refusal(text)


@pytest.mark.parametrize("content", [b"paint: {layers: 1, name: caf\xe9}\n", b"paint: \x00\n"])
def test_bytes_that_are_no_yaml_are_one_line(workspace: Path, content: bytes) -> None:
    (workspace / "params.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"^params\.yaml: not a text file of YAML") as caught:
        stage.load_params(PaintParams, "paint")
    assert "\n" not in str(caught.value)


def test_no_file_says_where_to_be(workspace: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: no such file; run from the project's root"):
        stage.load_params(PaintParams, "paint")


def run_paint(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(stage, "_set_up_process", lambda name: None)
    monkeypatch.setattr(stage, "_EXTRA_TIMINGS", {})
    monkeypatch.setattr(sys, "argv", ["paint", *arguments])
    stage.main(paint)


def test_the_command_line_is_the_stages_signature(params_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brushes = [Path("a"), Path("b")]
    for brush in brushes:
        brush.touch()
    run_paint(monkeypatch, "--canvas", "c", "--brushes", "a", "b", "--out-file", "made/here.txt")
    assert Path("made/here.txt").read_text() == "2 c"
    timings = json.loads(Path("var/timings/paint.json").read_text())
    assert timings["strokes_per_s"] == 12.346
    assert timings["seconds"] > 0
    assert timings["peak_rss_mib"] > 1


def test_a_mistake_of_the_users_is_one_line_and_exit_code_1(params_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as caught:
        run_paint(monkeypatch, "--canvas", "c", "--brushes", "none", "--out-file", "o")
    assert caught.value.code == "paint: none: no such brush"  # a text: printed to standard error, exit code 1
    assert not Path("var/timings/paint.json").exists()


def test_a_full_disk_is_one_line_and_the_last_good_file_stays(
    params_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("o").write_text("the last good one")
    Path("o.partial").symlink_to("/dev/full")  # a device on which every write is one too many
    with pytest.raises(SystemExit) as caught:
        run_paint(monkeypatch, "--canvas", "c", "--brushes", "params.yaml", "--out-file", "o")
    assert str(caught.value.code).startswith("paint: the disk is full")
    assert "\n" not in str(caught.value.code)
    assert Path("o").read_text() == "the last good one"


def test_another_error_of_the_system_is_not_called_a_full_disk(
    params_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("o.partial").mkdir()
    with pytest.raises(IsADirectoryError):
        run_paint(monkeypatch, "--canvas", "c", "--brushes", "params.yaml", "--out-file", "o")


def test_metrics_are_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    stage.write_metrics(tmp_path / "a.json", {"b": 1 / 3, "a": 1})
    stage.write_metrics(tmp_path / "b.json", {"a": 1, "b": 0.33333333})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1, "b": 0.333333}
