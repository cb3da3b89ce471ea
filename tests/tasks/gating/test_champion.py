"""The tracked files of the champion: read back as written, and refused where a promotion was broken off."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.gating.champion import (
    ANSWERS,
    CHAMPION,
    Champion,
    clear_champion,
    read_answers,
    read_champion,
    sha256_of,
    write_champion,
)
from tasks.judging.kept import write_lines
from tests.conftest import ROOT, refused
from tests.tasks.judging.contests import item

FOLDER = Path("champion")


def champion(answers: Path, version: int | None = 3) -> Champion:
    return Champion(
        name="fledgling", version=version, model="aligned", model_md5="abc.dir", content_key="k", dvc_lock_hash="l",
        git_commit="c", answers_sha256=sha256_of(answers), holdout="h", figures={"test_bits_per_byte": 1.2, "x": None},
    )  # fmt: skip


@pytest.fixture
def answers(workspace: Path) -> Path:
    path = workspace / "run" / "answers.jsonl"
    write_lines(path, [item("aligned", "a boat"), replace(item("aligned", "a drum"), references=("Line\u2028break.",))])
    return path


def test_the_project_ships_without_a_champion() -> None:
    assert read_champion(ROOT / "champion") is None


def test_a_champion_is_read_back_with_its_answers(answers: Path) -> None:
    written = champion(answers)
    write_champion(FOLDER, written, answers)
    assert read_champion(FOLDER) == written
    assert [one.answer for one in read_answers(FOLDER)] == ["aligned of a boat", "aligned of a drum"]
    assert (FOLDER / ANSWERS).read_bytes() == answers.read_bytes()
    before = (FOLDER / CHAMPION).read_bytes()
    write_champion(FOLDER, written, answers)
    assert (FOLDER / CHAMPION).read_bytes() == before


def test_its_place_can_be_vacant_again(answers: Path) -> None:
    write_champion(FOLDER, champion(answers), answers)
    clear_champion(FOLDER)
    assert read_champion(FOLDER) is None
    assert [path.name for path in FOLDER.iterdir()] == [CHAMPION]
    shipped = json.loads((ROOT / "champion" / CHAMPION).read_text())
    assert json.loads((FOLDER / CHAMPION).read_text()) == shipped == {"schema_version": 1, "version": None}


def test_a_promotion_that_was_broken_off_is_noticed(answers: Path, tmp_path: Path) -> None:
    write_champion(FOLDER, champion(answers), answers)
    other = tmp_path / "other.jsonl"
    write_lines(other, [item("aligned", "a lamp")])
    shutil.copy(other, FOLDER / ANSWERS)  # killed before champion.json
    with refused(r"answers\.jsonl: not the answers that champion\.json names.*`fledgling promote 3` writes both again"):
        read_champion(FOLDER)
    (FOLDER / ANSWERS).unlink()
    with refused("a promotion was broken off"):
        read_champion(FOLDER)


def test_what_is_no_champion_is_refused(answers: Path) -> None:
    with refused("a champion needs a version"):
        write_champion(FOLDER, champion(answers, version=None), answers)
    with refused("not the answers of version 3"):
        write_champion(FOLDER, champion(answers).model_copy(update={"answers_sha256": "0"}), answers)
    assert not FOLDER.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON; `git checkout champion` brings it back"),
        ('{"schema_version": 2, "version": null}', "not a champion as a promotion writes it: "),
        ('{"schema_version": 1, "version": 3}', "not a champion as a promotion writes it: name"),
    ],
    ids=["torn", "another schema", "without a name"],
)
def test_a_broken_file_is_told_in_one_line(workspace: Path, text: str, told: str) -> None:
    FOLDER.mkdir()
    (FOLDER / CHAMPION).write_text(text)
    with refused(told):
        read_champion(FOLDER)


def test_a_missing_file_is_told_in_one_line(workspace: Path) -> None:
    with refused("can't be read: No such file or directory; `git checkout champion` brings it back"):
        read_champion(FOLDER)


def test_a_candidate_is_no_champion(answers: Path) -> None:
    FOLDER.mkdir()
    (FOLDER / CHAMPION).write_text(champion(answers, version=None).text)
    with refused("'version' is null, so nothing else may stand there"):
        read_champion(FOLDER)
