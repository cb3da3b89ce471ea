"""Kept verdicts: one immutable file a run, replayed without a server."""

import json
from pathlib import Path

import pytest

from tasks.judging import verdicts
from tasks.judging.endpoint import EndpointJudgeParams, is_configured
from tasks.stage import UserError
from tests.conftest import ROOT
from tests.tasks.judging.endpoint.server import Server, serving
from tests.tasks.judging.endpoint.small import ITEMS, KEY, REPLIES, RUBRIC, STATE, VERDICTS, judge, section


@pytest.fixture
def replied(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four replies of a judge, as a run leaves them."""
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with serving() as server, judge(server.address) as asked:
        asked.score(ITEMS[:4], RUBRIC)
    return REPLIES


def test_a_run_becomes_one_file_named_by_its_content_and_is_replayed_from_it(replied: Path) -> None:
    with judge(None) as asked:
        before = asked.score(ITEMS[:4], RUBRIC)
    (file, count), *others = verdicts.keep().items()
    assert (count, others) == (4, [])
    assert file.parent == VERDICTS
    replied.unlink()  # a fresh clone has no var/
    with judge(None, model="") as asked:
        assert asked.score(ITEMS[:4], RUBRIC) == before
        assert asked.cost["cached_share"] == 1
    assert {record.status for record in before} == {"ok"}
    assert not replied.exists()


def test_the_same_replies_in_any_order_are_the_same_file(replied: Path, tmp_path: Path) -> None:
    first = next(iter(verdicts.keep()))
    lines = replied.read_text().splitlines(keepends=True)
    replied.write_text("".join(reversed(lines)) + lines[0] + '{"torn')
    second = next(iter(verdicts.keep(folder=tmp_path / "other")))
    assert (second.name, second.read_bytes()) == (first.name, first.read_bytes())


def test_a_later_run_adds_a_file_and_leaves_the_first_alone(replied: Path) -> None:
    first = next(iter(verdicts.keep()))
    before = first.read_bytes()
    with serving() as server:
        _score_more(server)
    (second, count), *_ = verdicts.keep().items()
    assert (first.read_bytes(), count, len(list(VERDICTS.iterdir()))) == (before, 2, 2)
    assert second != first
    with pytest.raises(UserError, match="holds no reply of a judge that is not in verdicts already"):
        verdicts.keep()


def _score_more(server: Server) -> None:
    with judge(server.address) as asked:
        asked.score(ITEMS[:6], RUBRIC)
    assert len(server.asked) == 2  # the others were kept


def test_a_changed_file_is_refused(replied: Path) -> None:
    file = next(iter(verdicts.keep()))
    file.write_text(file.read_text().replace("good words", "bad words"))
    with pytest.raises(UserError, match=r"endpoint\.[0-9a-f]{16}\.jsonl: its content is not the one"):
        judge(None)


def test_neither_the_key_nor_the_address_is_kept(replied: Path) -> None:
    text = next(iter(verdicts.keep())).read_text()
    assert KEY not in text
    assert "127.0.0.1" not in text
    line = json.loads(text.splitlines()[0])
    assert (line["request"]["model"], line["served_by"]) == ("judge-1", "judge-1-2026")
    assert line["request"]["about"]["kind"] == "score"
    assert "messages" not in line["request"]


def test_a_judge_is_configured_by_an_address_or_by_kept_verdicts(replied: Path) -> None:
    params = EndpointJudgeParams.model_validate(section(None))
    assert not is_configured(params, verdicts=VERDICTS)
    assert is_configured(EndpointJudgeParams.model_validate(section("http://127.0.0.1:9/v1")), verdicts=VERDICTS)
    verdicts.keep()
    assert is_configured(params, verdicts=VERDICTS)
    assert not is_configured(params.model_copy(update={"name": "other"}), verdicts=VERDICTS)


def test_the_command_says_what_it_kept(replied: Path) -> None:
    from typer.testing import CliRunner

    from fledgling.cli import app

    done = CliRunner().invoke(app, ["keep-verdicts"])
    assert done.exit_code == 0
    assert "4 replies kept" in done.output
    assert "git add verdicts" in done.output
    again = CliRunner().invoke(app, ["keep-verdicts"])
    assert isinstance(again.exception, UserError)


def test_nothing_to_keep_is_one_line(workspace: Path) -> None:
    with pytest.raises(UserError, match="holds no reply of a judge"):
        verdicts.keep()
    assert not STATE.exists()


def test_the_folder_stands_in_the_project() -> None:
    assert (ROOT / VERDICTS / "README.md").is_file()
