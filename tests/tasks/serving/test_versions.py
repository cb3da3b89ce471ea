"""Which model is meant, and what is refused before anything of it is read."""

import pickle
from pathlib import Path

import pytest

from tasks.dvc_hashes import dvc_md5
from tasks.serving.live import load
from tasks.serving.versions import find
from tests.apps.serve.running import serve_params, write_model
from tests.conftest import refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


def test_a_folder_is_a_version_by_its_name(folder: Path) -> None:
    found = find(str(folder))
    assert (found.told, found.folder, found.model_md5) == ("fledgling/tiny", folder, dvc_md5(folder))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "deep/model.PKL", "weights.pt", "scores.npy"])
def test_a_folder_with_a_pickle_is_refused_unread(folder: Path, tmp_path: Path, name: str) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for path in folder.iterdir():
        (foreign / path.name).write_bytes(path.read_bytes())
    evil = foreign / name
    evil.parent.mkdir(exist_ok=True)
    evil.write_bytes(pickle.dumps(Path(tmp_path / "run")))
    with refused(f"{Path(name).name}, which may run code when it is read; only safetensors and JSON are allowed"):
        find(str(foreign))


def test_what_is_no_model_is_one_line(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused("no such folder; a model is an alias, a number of the registry, or a folder"):
        find(str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with refused(r"holds no model\.safetensors; a model folder has"):
        find(str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "champion").mkdir()  # where git keeps who it is
    for reference in ("champion", "3", "models:/fledgling@champion"):
        with refused("there is no registry yet"):
            find(reference)


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.safetensors", b"\x80\x04not tensors"), ("config.json", b"{}"), ("config.json", b"["),
     ("tokenizer.json", b"{}"), ("config.json", b'{"model_type": "gpt2", "vocab_size": 3}')],
    ids=["tensors", "empty config", "half a config", "tokenizer", "another model"],
)  # fmt: skip
def test_a_corrupt_folder_is_one_line(folder: Path, tmp_path: Path, name: str, content: bytes) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(content if path.name == name else path.read_bytes())
    with refused("broken"):
        load(find(str(broken)), serve_params())
