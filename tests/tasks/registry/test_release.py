"""The release: which version may be the champion, what a promotion and a rollback leave, what kill -9 can't break."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.gating.champion import ANSWERS, CHAMPION, read_champion
from tasks.registry import notice, store
from tasks.registry.release import promote, rollback
from tasks.registry.versions import NAME
from tests.answering import in_a_thread
from tests.conftest import ROOT, refused
from tests.tasks.registry.versions import make_version, named, tags

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")

NOTHING = {"champion": None, "previous_champion": None}

# moves the champion in a process that dies just before its n-th change, for each n; then once more, in another one
KILLED = """
import json, os, shutil, signal, sys
from pathlib import Path
import mlflow
from mlflow.store.model_registry import sqlalchemy_store  # imported once for all children
from mlflow.store.tracking import sqlalchemy_store
from sqlalchemy.orm import configure_mappers
from tasks.gating import champion
from tasks.registry import notice, release
from tests.tasks.registry.versions import named

configure_mappers()
move, template, scratch = {move!r}, Path.cwd(), Path(sys.argv[1])

def dying_at(change):
    left = [change]
    def dying(function):
        def changed(*args, **kwargs):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return function(*args, **kwargs)
        return changed
    aliases = [(mlflow.MlflowClient, f"{{verb}}_registered_model_alias") for verb in ("set", "delete")]
    for owner, name in [*aliases, (release, "_tag"), (champion, "write_text"), (notice, "send")]:
        setattr(owner, name, dying(getattr(owner, name)))

def child(work):
    if (process := os.fork()) == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

def state():
    held = json.loads(Path("champion/champion.json").read_text())["version"]
    Path("state.json").write_text(json.dumps({{**named(), "held": held}}))

def first():
    dying_at(change)
    eval(move)
    state()

def again():
    between = named()
    eval(move)
    state()
    told = json.loads(Path("state.json").read_text())
    Path("state.json").write_text(json.dumps(told | {{"between": between["champion"]}}))

found, code, change = [], -9, 0
while code == -9:
    folder = scratch / str(change)
    shutil.copytree(template, folder)
    os.chdir(folder)
    code = child(first)
    assert code != -9 or child(again) == 0
    found.append(json.loads(Path("state.json").read_text()))
    change += 1
assert code == 0
print(json.dumps(found))
"""


def killed_at_each_change(move: str, scratch: Path) -> list[dict[str, Any]]:
    """What there is in the end, after a first process that died before the n-th change, and a second one."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": ""}  # each folder's own database
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED.format(move=move), str(scratch)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def versions(chain: Path, tmp_path: Path) -> Path:
    """Three versions that the gate speaks for; no champion yet."""
    for number in (1, 2, 3):
        make_version(tmp_path, number)
    return chain


def held() -> tuple[int, str]:
    """The version that champion/ names, and who gave the answers there."""
    champion = read_champion()
    assert champion is not None
    assert champion.version is not None
    return champion.version, json.loads((Path("champion") / ANSWERS).read_text())["said_by"]


def test_the_first_champion(versions: Path) -> None:
    released = promote("1", by="Anna")

    assert (released.version, released.previous, released.moved) == (1, None, True)
    assert released.line == "fledgling version 1 is the champion now; no champion before it"
    assert named() == {"champion": 1, "previous_champion": None}
    assert (tags(1)["promoted_by"], tags(1)["promoted_over"]) == ("Anna", "none")
    assert "promoted_despite" not in tags(1)
    champion = read_champion()
    assert champion is not None
    assert (champion.content_key, champion.dvc_lock_hash, champion.git_commit) == ("key-1", "lock-1", "commit-1")
    assert champion.figures == {"test_bits_per_byte": 1.25}


def test_another_one_and_back(versions: Path) -> None:
    for number in ("1", "2", "3"):
        promote(number, by="Anna")
    assert (named(), held()) == ({"champion": 3, "previous_champion": 2}, (3, "version 3"))

    back = rollback(by="Ben", reason="it stutters")

    assert (back.version, back.previous, back.left) == (2, 1, 3)
    assert back.line == "fledgling version 2 is the champion now, version 3 was rolled back; version 1 before it"
    assert (named(), held()) == ({"champion": 2, "previous_champion": 1}, (2, "version 2"))
    assert (tags(3)["rolled_back_by"], tags(3)["rolled_back_reason"]) == ("Ben", "it stutters")
    assert rollback(by="Ben").version == 1
    assert (named(), held()) == ({"champion": 1, "previous_champion": None}, (1, "version 1"))
    with refused("version 1 is the only champion so far"):
        rollback(by="Ben")
    assert "rolled_back_by" not in tags(1)


def test_without_a_version_it_is_the_candidate(versions: Path) -> None:
    assert promote(None, by="Anna").version == 3


def test_a_champion_already_is_written_again(versions: Path) -> None:
    promote("1", by="Anna")
    promote("2", by="Anna")
    since = tags(2)["promoted_at"]
    shutil.rmtree("champion")

    again = promote("champion", by="Ben")

    assert again.line == "fledgling version 2 is the champion already; version 1 before it"
    assert (named(), held()) == ({"champion": 2, "previous_champion": 1}, (2, "version 2"))
    assert (tags(2)["promoted_by"], tags(2)["promoted_at"]) == ("Anna", since)


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"gate_decision": "undecided", "gate_reasons": "the interval holds .5"},
         "the gate says 'undecided' of version 4: the interval holds .5; `fledgling promote --despite REASON`"),
        ({"gate_decision": "rejected", "gate_reasons": "x" * 5000}, "says 'rejected' of version 4: x{300}; "),
        ({"gate_champion": f"{NAME}/1"}, "compared version 4 with fledgling/1, and the champion is fledgling/2"),
        ({"gate_champion": "base"}, "compared version 4 with base, and the champion is fledgling/2: run the chain"),
    ],
    ids=["undecided", "rejected", "another-champion", "base"],
)  # fmt: skip
def test_what_the_gate_does_not_speak_for_needs_a_reason(
    versions: Path, tmp_path: Path, told: dict[str, str], match: str
) -> None:
    promote("2", by="Anna")
    make_version(tmp_path, 4, **told)
    with refused(match):
        promote("4", by="Anna")
    assert (named(), held()[0]) == ({"champion": 2, "previous_champion": None}, 2)
    assert "promoted_by" not in tags(4)

    assert promote("4", by="Anna", despite="people like it").version == 4
    assert tags(4)["promoted_despite"] == "people like it"


def test_a_version_that_was_rolled_back_needs_a_reason_too(versions: Path) -> None:
    promote("1", by="Anna")
    promote("2", by="Anna", despite="a trial")
    rollback(by="Ben", reason="it stutters")
    with refused(r"version 2 was rolled back \(Ben: it stutters\)"):
        promote("2", by="Anna")

    promote("2", by="Anna", despite="it does not")

    assert tags(2)["promoted_despite"] == "it does not"
    promote("3", by="Anna")
    rollback(by="Ben")
    assert named() == {"champion": 2, "previous_champion": 1}


def test_a_version_without_the_gates_evidence_moves_nothing(versions: Path, tmp_path: Path) -> None:
    client = store.connect()
    run = client.create_run(store.experiment_id(client)).info.run_id
    client.create_model_version(NAME, f"runs:/{run}/model", run, tags={"model_md5": "4.dir"})
    with refused(r"version 4 was not at the gate: its run holds no gate/answers\.jsonl"):
        promote("4", by="Anna", despite="it is good")
    make_version(tmp_path, 5, model_md5="another.dir")
    with refused("gate/ of version 5's run is not of one piece; `fledgling register` mends it"):
        promote("5", by="Anna")
    assert named() == NOTHING
    assert not Path("champion").exists()


def test_evidence_that_was_damaged_moves_nothing(versions: Path) -> None:
    run = store.connect().get_model_version(NAME, "2").run_id
    (damaged,) = (versions / store.ARTIFACTS).glob(f"{run}/artifacts/gate/{ANSWERS}")
    damaged.write_text("other answers\n")
    with refused("not of one piece"):
        promote("2", by="Anna")
    promote("1", by="Anna")
    assert (named(), held()[0]) == ({"champion": 1, "previous_champion": None}, 1)


def test_a_previous_champion_that_was_deleted_is_none(versions: Path) -> None:
    for number in ("1", "2", "3"):
        promote(number, by="Anna")
    store.connect().delete_model_version(NAME, "1")

    assert rollback(by="Ben").previous is None
    with refused("version 2 is the only champion so far"):
        rollback(by="Ben")


def test_a_rollback_of_one_version_is_done_once(versions: Path) -> None:
    for number in ("1", "2", "3"):
        promote(number, by="Anna")

    first, again = (rollback(by="Ben", leaving=3) for _ in range(2))

    assert (first.moved, again.moved) == (True, False)
    assert first.version == again.version == 2
    assert (named(), held()[0]) == ({"champion": 2, "previous_champion": 1}, 2)


def test_what_a_mistake_tells(versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused("no champion to roll back"):
        rollback(by="Anna")
    with refused("no version or alias '9' of 'fledgling'; there is 1, 2, 3, candidate"):
        promote("9", by="Anna")
    with refused("who decides"):
        promote("1", by=" ")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with refused(r"dvc\.yaml: no such file; run from the project's root"):
        promote("1", by="Anna")
    Path("dvc.yaml").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    with refused("there is no registry yet"):
        promote("1", by="Anna")
    assert not store.DATABASE.exists()


def test_an_empty_registry_is_told_too(chain: Path) -> None:
    with refused("holds no version"):
        promote(None, by="Anna")
    with refused("no champion to roll back"):
        rollback(by="Anna")


def test_a_promotion_that_was_killed_anywhere_is_finished_by_the_next(versions: Path, tmp_path: Path) -> None:
    promote("1", by="Anna")
    ended = killed_at_each_change("release.promote('2', by='Anna')", tmp_path / "killed")

    assert len(ended) == 7  # tags, two aliases, two files, the notice; the last was not killed
    for state in ended:
        between = state.pop("between", 2)
        assert between in (1, 2)
        assert state == {"champion": 2, "previous_champion": 1, "held": 2}


def test_a_rollback_that_was_killed_anywhere_goes_one_step_back(versions: Path, tmp_path: Path) -> None:
    for number in ("1", "2", "3"):
        promote(number, by="Anna")
    ended = killed_at_each_change("release.rollback(by='Ben')", tmp_path / "killed")

    assert len(ended) == 7
    for state in ended:
        between = state.pop("between", 2)
        assert between in (2, 3)
        assert state == {"champion": 2, "previous_champion": 1, "held": 2}


def test_two_at_once_move_one_after_the_other(versions: Path) -> None:
    promote("1", by="Anna")
    code = "import sys; from tasks.registry.release import promote; promote(sys.argv[1], by='Anna')"
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code, number], env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        for number in ("2", "3")
    ]
    assert [process.wait(120) for process in started] == [0, 0]
    found = named()
    assert sorted(found.values()) == [2, 3]
    assert tags(found["champion"])["promoted_over"] == str(found["previous_champion"])
    assert tags(found["previous_champion"])["promoted_over"] == "1"
    assert held()[0] == found["champion"]


class Listener:
    """A server that is told of releases: what it was posted, and what it answers."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.answer = 204
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                listener.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(listener.answer)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/reload?token=secret"


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    found = Listener()
    monkeypatch.setenv(notice.ADDRESS, found.address)
    with in_a_thread(found.server):
        yield found


def test_the_server_is_told(versions: Path, listener: Listener) -> None:
    promote("1", by="Anna")
    promote("2", by="Anna")
    rollback(by="Ben")
    assert listener.told == [
        {"event": "fledgling.model.promoted", "name": NAME, "version": 1, "previous": None},
        {"event": "fledgling.model.promoted", "name": NAME, "version": 2, "previous": 1},
        {"event": "fledgling.model.rolled_back", "name": NAME, "version": 1, "previous": None},
    ]


@pytest.mark.parametrize("answer", [500, 404])
def test_a_server_that_refuses_undoes_nothing(
    versions: Path, listener: Listener, answer: int, caplog: pytest.LogCaptureFixture
) -> None:
    listener.answer = answer
    assert promote("1", by="Anna").version == 1
    assert named()["champion"] == 1
    assert f"was not told (it answered {answer})" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("address", "why"),
    [("http://127.0.0.1:9/", "ConnectError"), ("not an address", "UnsupportedProtocol"), ("http://a:b/", "InvalidURL")],
)
def test_an_address_where_nobody_is_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str, why: str
) -> None:
    monkeypatch.setenv(notice.ADDRESS, address)
    assert not notice.send({"event": "fledgling.model.promoted"})
    assert why in caplog.text


def test_a_torn_first_promotion_is_no_champion_yet(versions: Path) -> None:
    promote("1", by="Anna")
    (Path("champion") / CHAMPION).write_text('{"schema_version": 1, "version": null}')
    assert read_champion() is None
    promote("1", by="Anna")
    assert held() == (1, "version 1")
