"""The platform's logins: made once, kept to their owner, refused where they are weak, lent to nobody elsewhere."""

import os
from pathlib import Path

import pytest

from fledgling import logins
from fledgling.platform import become
from fledgling.platform.addresses import ports
from fledgling.platform.settings import NEEDS, commands, environment
from tests.conftest import refused


@pytest.fixture(autouse=True)
def nothing_set(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and an environment without a login."""
    for name in (*logins.NAMES, logins.OPEN, "MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI"):
        monkeypatch.setenv(name, "")  # so that what is set by `take` is undone
        monkeypatch.delenv(name)


def test_they_are_made_once_and_kept_to_their_owner() -> None:
    assert logins.take(make=True)
    first = {name: os.environ[name] for name in logins.NAMES}
    assert logins.FILE.stat().st_mode & 0o777 == 0o600
    assert logins.kept() == first
    assert len(set(first.values())) == len(first)
    for name in logins.NAMES:
        del os.environ[name]
    assert not logins.take(make=True)
    assert {name: os.environ[name] for name in logins.NAMES} == first


def test_the_environment_comes_first_and_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logins.PREFECT, "team:a-password-of-the-team")
    logins.take(make=True)
    assert os.environ[logins.PREFECT] == "team:a-password-of-the-team"
    assert logins.PREFECT not in logins.kept()


def test_a_file_that_others_may_read_is_refused() -> None:
    logins.take(make=True)
    logins.FILE.chmod(0o640)
    with refused("chmod 600"):
        logins.kept()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (logins.PREFECT, "admin"),
        (logins.PREFECT, "admin:short"),
        (logins.MLFLOW_PASSWORD, "password1234"),
        (logins.MLFLOW_PASSWORD, "eleven-char"),
        (logins.MLFLOW_PASSWORD, "with a space in it"),
        (logins.SERVE, "fifteen-letters"),
        (logins.REVIEW, "thirty-one-characters-are-too-few"[:31]),
    ],
)
def test_a_weak_one_is_one_line_that_does_not_say_it(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with refused(name) as raised:
        logins.take(make=True)
    assert value not in str(raised.value).replace(name, "").replace("USER:PASSWORD", "")
    assert not logins.FILE.exists()


def test_an_open_platform_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logins.PREFECT, "team:a-password-of-the-team")
    monkeypatch.setenv(logins.OPEN, "true")
    assert not logins.take(make=True)
    assert logins.PREFECT not in os.environ
    assert not logins.FILE.exists()
    monkeypatch.setenv(logins.OPEN, "yes")
    with refused("allowed: true, false"):
        logins.is_open()


def test_a_container_makes_none() -> None:
    with refused("MLFLOW_TRACKING_PASSWORD.*init-env"):
        become("mlflow")
    with refused("allowed: .*worker"):
        become("database")


def test_each_service_is_given_its_own(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
    (workspace / "prefect.yaml").write_text("")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql+psycopg://mlflow:the-databases@127.0.0.1/mlflow")
    logins.take(make=True)
    wanted = ports()
    for service in NEEDS:
        made = environment(wanted, service)
        held = {name for name in (*logins.NAMES, "MLFLOW_BACKEND_STORE_URI") if name in made}
        assert held == {name for name in NEEDS[service] if name in os.environ}
        assert ("PREFECT_SERVER_API_AUTH_STRING" in made) == (service == "prefect")
    said = " ".join(word for command in commands(wanted).values() for word in command)
    assert "the-databases" not in said  # every user of a machine sees arguments
    assert all(value not in said for value in logins.kept().values() if value != logins.USER)


def test_a_command_finds_the_platforms_mlflow_and_is_let_in() -> None:
    logins.take(make=True)
    kept = logins.kept()
    found = {"MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg://mlflow@db/mlflow", "FLEDGLING_MLFLOW_PORT": "5050"}
    logins.lend(found)
    assert found["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5050"
    assert found[logins.MLFLOW_PASSWORD] == kept[logins.MLFLOW_PASSWORD]
    elsewhere = {"MLFLOW_TRACKING_URI": "https://mlflow.example.org", "PREFECT_API_URL": "https://prefect.example.org"}
    before = dict(elsewhere)
    logins.lend(elsewhere)
    assert elsewhere == before
    nothing: dict[str, str] = {}
    logins.lend(nothing)
    assert nothing == {logins.PREFECT: kept[logins.PREFECT]}  # of the server that `fledgling run` finds here


def test_a_key_is_lent_to_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    logins.take(make=True)
    monkeypatch.delenv(logins.SERVE)
    assert logins.key_of("http://127.0.0.1:8200") == logins.kept()[logins.SERVE]
    assert logins.key_of("https://chat.example.org") == ""
    monkeypatch.setenv(logins.SERVE, "the-first-key-of-two,another")
    assert logins.key_of("https://chat.example.org") == "the-first-key-of-two"
