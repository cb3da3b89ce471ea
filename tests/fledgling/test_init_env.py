"""`fledgling init-env`: .env with generated values, written once, told without a secret."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from apps.review.settings import LEAST_SECRET
from apps.serve.settings import LEAST_KEY
from fledgling.init_env import FILE, SECRETS, TEMPLATE, init_env
from tests.conftest import ROOT, refused


@pytest.fixture
def root(workspace: Path) -> Path:
    """A folder with the project's own .env.example."""
    shutil.copy(ROOT / TEMPLATE, workspace)
    return workspace


def values(file: Path = FILE) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", file.read_text(encoding="utf-8"), re.MULTILINE))


def test_every_secret_is_made_and_is_another_one(root: Path) -> None:
    init_env()
    made = values()
    secrets = [made[name] for name in SECRETS]
    assert len(set(secrets)) == len(SECRETS)
    assert min(map(len, secrets)) >= 32
    assert len(made["FLEDGLING_REVIEW_SECRET"]) >= LEAST_SECRET
    assert len(made["FLEDGLING_SERVE_KEYS"]) >= LEAST_KEY
    assert made["PREFECT_API_AUTH_STRING"].startswith("admin:")
    assert made["MLFLOW_TRACKING_USERNAME"] == "admin"
    assert not [name for name, value in made.items() if not value]


def test_secrets_need_no_quotes_in_a_shell_or_an_address(root: Path) -> None:
    init_env()
    assert all(re.fullmatch(r"[A-Za-z0-9_:-]+", values()[name]) for name in SECRETS)
    shown = subprocess.run(
        ["bash", "-euc", "set -a; . ./.env; env"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    read = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    assert {name: read[name] for name in SECRETS} == {name: values()[name] for name in SECRETS}


def test_two_platforms_share_no_secret(root: Path, tmp_path: Path) -> None:
    init_env()
    first = values()
    FILE.unlink()
    init_env()
    assert not [name for name in SECRETS if values()[name] == first[name]]


def test_only_its_owner_reads_it(root: Path) -> None:
    before = os.umask(0)
    try:
        init_env()
    finally:
        os.umask(before)
    assert FILE.stat().st_mode & 0o777 == 0o600


def test_an_existing_one_stays(root: Path) -> None:
    FILE.write_text("MINE=1\n")
    with refused(r"\.env is there already and stays"):
        init_env()
    assert FILE.read_text() == "MINE=1\n"


def test_no_secret_is_told(root: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "fledgling.cli", "init-env"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    made = values()
    for name in SECRETS:
        assert name in done.stdout
        assert made[name].removeprefix("admin:") not in done.stdout + done.stderr
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert again.returncode == 1
    assert len(again.stderr.splitlines()) == 1


def test_nothing_in_a_container_runs_as_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert "chown" in init_env()
    assert values()["FLEDGLING_UID"] == "1000"


def test_what_a_container_writes_is_the_callers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "getgid", lambda: 123)
    assert "chown" not in init_env()
    assert (values()["FLEDGLING_UID"], values()["FLEDGLING_GID"]) == ("1234", "123")


def test_the_worker_with_a_gpu_takes_the_others_place(root: Path) -> None:
    init_env(gpu=True)
    assert values()["FLEDGLING_CPU_WORKERS"] == "0"
    assert values()["COMPOSE_PROFILES"] == "gpu"


def test_outside_the_project_it_says_so(workspace: Path) -> None:
    with refused(r"\.env\.example: no such file; run from the project's root"):
        init_env()


def test_a_new_open_name_is_no_empty_secret(root: Path) -> None:
    with Path(TEMPLATE).open("a") as file:
        file.write("NEW_PASSWORD=\n")
    with refused("nothing is known to generate for NEW_PASSWORD"):
        init_env()
    assert not FILE.exists()
