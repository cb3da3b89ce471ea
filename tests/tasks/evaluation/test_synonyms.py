"""Synonyms out of a WordNet of two words, in the form of Princeton's files."""

from pathlib import Path

import pytest

from tasks.evaluation.synonyms import check_wordnet, synonyms
from tasks.evaluation.task_metrics import Meteor
from tests.conftest import refused

HEAD = "  1 WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved.\n"


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    """A WordNet in which a boat is a ship."""
    folder = tmp_path / "dict"
    folder.mkdir()
    for kind in ("noun", "verb", "adj", "adv"):
        for part in ("index", "data"):
            (folder / f"{part}.{kind}").write_text(HEAD)
        (folder / f"{kind}.exc").touch()
    (folder / "lexnames").write_text("".join(f"{at:02d}\tnoun.{at}\t1\n" for at in range(4)))
    place = f"{len(HEAD):08d}"
    (folder / "data.noun").write_text(f"{HEAD}{place} 03 n 02 boat 0 ship 0 000 | a thing that floats  \n")
    (folder / "index.noun").write_text(f"{HEAD}boat n 1 0 1 0 {place}  \nship n 1 0 1 0 {place}  \n")
    return folder


def test_a_synonym_is_a_match_only_where_a_wordnet_is_named(wordnet: Path) -> None:
    said, wanted = ["the ships sank"], [["the boat sank"]]
    # 2 of 3 words match in two chunks: F 2/3, penalty .5; with "ship" all three do in one: 1 less .5 / 27
    assert Meteor().compute(predictions=said, references=wanted) == {"meteor": pytest.approx(2 / 3 * 0.5)}
    with_synonyms = Meteor().compute(predictions=said, references=wanted, wordnet=wordnet)
    assert with_synonyms == {"meteor": pytest.approx(1 - 0.5 / 27)}
    assert synonyms(wordnet).synsets("train") == []


@pytest.mark.parametrize("lost", ["lexnames", "index.noun", "data.verb"])
def test_a_folder_without_a_wordnet_is_one_line(wordnet: Path, lost: str) -> None:
    check_wordnet(wordnet)
    check_wordnet(None)
    (wordnet / lost).unlink()
    with refused(rf"evaluate\.tasks\.wordnet: .*dict holds no WordNet, it has no {lost}; allowed: "):
        check_wordnet(wordnet)


def test_a_wordnet_that_cannot_be_read_is_one_line(wordnet: Path) -> None:
    (wordnet / "index.noun").write_text("boat n one\n")
    with refused(r"evaluate\.tasks\.wordnet: .*dict can't be read as a WordNet: file index\.noun, line 1"):
        Meteor().compute(predictions=["a ship"], references=[["a boat"]], wordnet=wordnet)
