"""A model that somebody wrote to run code when it is read: through no way of ours does it."""

import ast
import contextlib
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fledgling.export import app as export_app
from model.checkpoint import Checkpoints, load_model
from model.documents import read_documents
from tasks.exporting.source import Told, read_source
from tasks.serving import versions
from tasks.stage import UserError
from tasks.tokenizer_kinds import load_tokenizer
from tests.apps.serve.running import write_model
from tests.conftest import ROOT

FILES = ("model.safetensors", "config.json", "tokenizer.json")
READING = {"torch": {"load"}, "pickle": {"load", "loads"}, "joblib": {"load"}, "dill": {"load", "loads"},
           "cloudpickle": {"load", "loads"}, "shelve": {"open"}, "marshal": {"load", "loads"}}  # fmt: skip


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return open, (str(self._marker), "w")


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """What a payload that was run leaves. The fixture itself is tried: unpickled, it does run."""
    tried = tmp_path / "tried"
    pickle.loads(pickle.dumps(Payload(tried))).close()  # noqa: S301 - that it would run is the point
    assert tried.exists()
    found = tmp_path / "it-ran"
    yield found
    assert not found.exists()


def evil(marker: Path, *, kind: str) -> bytes:
    """A pickle as it comes, or as torch.save packs one."""
    if kind == "pickle":
        return pickle.dumps(Payload(marker))
    import io

    import torch

    packed = io.BytesIO()
    torch.save({"weights": Payload(marker)}, packed)
    return packed.getvalue()


@pytest.mark.parametrize("kind", ["pickle", "torch"])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "read",
    [
        load_model,
        lambda folder: read_source(folder, name="x", told=Told()),
        lambda folder: versions.find(str(folder)),
    ],
    ids=["checkpoint", "export", "serving"],
)
def test_in_place_of_a_models_file(
    tmp_path: Path, marker: Path, kind: str, name: str, read: Callable[[Path], Any]
) -> None:
    folder = write_model(tmp_path / "model")
    (folder / name).write_bytes(evil(marker, kind=kind))
    with contextlib.suppress(ValueError, UserError):  # a model folder may be read without its tokenizer
        read(folder)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_in_place_of_a_tokenizer(tmp_path: Path, marker: Path, kind: str) -> None:
    (tmp_path / "tokenizer.json").write_bytes(evil(marker, kind=kind))
    with pytest.raises((UserError, ValueError)):
        load_tokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_in_place_of_a_checkpoint(tmp_path: Path, marker: Path, kind: str) -> None:
    (tmp_path / "step-00000001.safetensors").write_bytes(evil(marker, kind=kind))
    assert Checkpoints(tmp_path).latest() is None


@pytest.mark.parametrize("name", ["offsets", "weights", "bytes"])
def test_in_place_of_token_files(tmp_path: Path, marker: Path, name: str) -> None:
    meta = {"dtype": "uint16", "vocabulary_size": 9, "end_id": 0, "splits": {"train": {}}}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    np.array([1, 2, 0], np.uint16).tofile(tmp_path / "train.bin")
    for other, values in (("offsets", [0, 3]), ("weights", [1.0]), ("bytes", [5])):
        np.save(tmp_path / f"train.{other}.npy", np.array(values))
    assert len(read_documents(tmp_path, "train")) == 1
    (tmp_path / f"train.{name}.npy").write_bytes(evil(marker, kind="pickle"))
    with pytest.raises(ValueError, match="cannot be read"):
        read_documents(tmp_path, "train")


@pytest.mark.parametrize("suffix", versions.PICKLES)
def test_beside_a_model(tmp_path: Path, marker: Path, suffix: str) -> None:
    folder = write_model(tmp_path / "model")
    (folder / f"extra{suffix}").write_bytes(evil(marker, kind="pickle"))
    with pytest.raises(UserError, match="may run code"):
        versions.find(str(folder))


@pytest.mark.filterwarnings("ignore:.*type hint")  # of MLflow's own types, when it is imported
def test_a_pickled_model_of_mlflow_is_not_read(workspace: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.registry import store

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    store.connect()
    import mlflow

    folder = workspace / "model"
    folder.mkdir()
    (folder / "python_model.pkl").write_bytes(evil(marker, kind="pickle"))
    flavor = {
        "cloudpickle_version": "3.1.0",
        "loader_module": "mlflow.pyfunc.model",
        "python_model": "python_model.pkl",
    }
    (folder / "MLmodel").write_text(json.dumps({"flavors": {"python_function": flavor}}))
    with pytest.raises(mlflow.MlflowException, match=r"(?i)pickle"):
        mlflow.pyfunc.load_model(str(folder))


def test_nothing_of_ours_reads_a_pickle() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("model", "tasks", "flows", "apps", "fledgling")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and reads_a_pickle(node)
    ]
    assert found == []
    assert reads_a_pickle(ast.parse("numpy.load(x, allow_pickle=True)").body[0].value)  # type: ignore[attr-defined]


def reads_a_pickle(call: ast.Call) -> bool:
    """torch.load and its kin, and whoever allows one."""
    function = call.func
    is_reading = (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.attr in READING.get(function.value.id, ())
    )
    allowed = [word.value for word in call.keywords if word.arg == "allow_pickle"]
    return is_reading or any(not isinstance(value, ast.Constant) or value.value is not False for value in allowed)


def test_an_export_of_one_is_a_line(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    folder = write_model(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(evil(marker, kind="torch"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(export_app, ["hf", str(tmp_path / "out"), "--model", str(folder)])
    assert isinstance(done.exception, UserError)
    assert not (tmp_path / "out").exists()
