from pathlib import Path

import pytest

from tasks import profiles
from tasks.stage import UserError, read_yaml

PARAMS = """\
# what this file is
profile: laptop

ingest:
  sources:
    - {name: a, kind: storybook}   # the first
  stories: 10                      # how many
pretrain:
  model: {d_model: 192, n_layers: 5}
"""


@pytest.fixture(autouse=True)
def project(workspace: Path) -> Path:
    (workspace / "params.yaml").write_text(PARAMS)
    (workspace / "profiles").mkdir()
    overlay = "profile: big\ningest:\n  sources:\n    - {name: b, kind: hub}\npretrain:\n  model: {d_model: 512}\n"
    (workspace / "profiles" / "big.yaml").write_text(overlay)
    (workspace / "profiles" / "bad.yaml").write_text("profile: bad\npretrain:\n  model: {d_modle: 1}\n")
    return workspace


def test_a_profile_changes_what_it_names_and_keeps_the_comments() -> None:
    assert profiles.apply("big") == ["profile", "ingest.sources", "pretrain.model.d_model"]
    text = Path("params.yaml").read_text()
    assert "# what this file is" in text
    assert "# how many" in text
    found = read_yaml(Path("params.yaml"))
    assert found["profile"] == "big"
    assert found["ingest"] == {"sources": [{"name": "b", "kind": "hub"}], "stories": 10}
    assert found["pretrain"]["model"] == {"d_model": 512, "n_layers": 5}


def test_twice_is_once() -> None:
    profiles.apply("big")
    before = Path("params.yaml").read_bytes()
    assert profiles.apply("big") == []
    assert Path("params.yaml").read_bytes() == before


def test_an_unknown_key_is_refused_and_nothing_is_written() -> None:
    with pytest.raises(UserError, match=r"profiles/bad\.yaml: unknown key 'pretrain\.model\.d_modle'"):
        profiles.apply("bad")
    assert Path("params.yaml").read_text() == PARAMS


def test_an_unknown_profile_is_told_the_known_ones() -> None:
    with pytest.raises(UserError, match="no profile 'none'; there is bad, big"):
        profiles.apply("none")


@pytest.mark.parametrize("content", ["", "- 1\n", "profile: [\n"])
def test_a_broken_profile_is_one_line_and_nothing_is_written(content: str) -> None:
    Path("profiles/bad.yaml").write_text(content)
    with pytest.raises(UserError, match=r"bad\.yaml"):
        profiles.apply("bad")
    assert Path("params.yaml").read_text() == PARAMS


def test_a_profile_may_be_like_another() -> None:
    Path("profiles/bigger.yaml").write_text("profile: bigger\nlike: big\npretrain:\n  model: {n_layers: 9}\n")
    profiles.apply("bigger")
    found = read_yaml(Path("params.yaml"))
    assert found["profile"] == "bigger"
    assert found["ingest"]["sources"] == [{"name": "b", "kind": "hub"}]
    assert found["pretrain"]["model"] == {"d_model": 512, "n_layers": 9}


@pytest.fixture
def reading() -> str:
    """A profile that reads a folder of the user's."""
    overlay = 'profile: own\ningest:\n  sources:\n    - {name: c, globs: ["{data}/*.txt"]}\n'
    Path("profiles/own.yaml").write_text(overlay)
    return "own"


def test_the_folder_of_the_users_data_is_filled_in(reading: str, tmp_path: Path) -> None:
    profiles.apply(reading, data=tmp_path)
    assert read_yaml(Path("params.yaml"))["ingest"]["sources"][0]["globs"] == [f"{tmp_path.as_posix()}/*.txt"]


def test_a_profile_that_reads_a_folder_wants_to_know_it(reading: str) -> None:
    with pytest.raises(UserError, match=r"own\.yaml reads a folder of yours; name it by --data FOLDER"):
        profiles.apply(reading)
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        profiles.apply(reading, data=Path("nowhere"))
    assert Path("params.yaml").read_text() == PARAMS


def test_a_folder_that_no_profile_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"big\.yaml reads no folder of data"):
        profiles.apply("big", data=tmp_path)
