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
