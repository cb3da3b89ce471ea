"""docker-compose.yml, its image and .env.example, read as what they are: no engine is needed for it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from docker.utils.build import exclude_paths
from jsonschema import Draft202012Validator

from fledgling.init_env import SECRETS
from fledgling.platform.settings import MLFLOW_STORE, NEEDS, PREFECT_STORE, REVIEW_STORE

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LASTING = sorted(name for name, service in SERVICES.items() if service.get("restart") == "unless-stopped")
VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?:(:?[-?+])([^}]*))?\}")
SECRET = re.compile(r"PASSWORD|SECRET|KEYS?$|AUTH_STRING")
OPTIONAL_SECRETS = {"OPENAI_API_KEY"}  # of somebody else's server; none is asked for without it
NAMED = re.compile(r"^#?([A-Z][A-Z0-9_]*)=", re.MULTILINE)


def uses() -> list[tuple[str, str, str]]:
    """Each variable that the file takes from the environment, how, and with what."""
    return [(name, how, what) for name, how, what in VARIABLE.findall(TEXT)]


def test_it_is_a_compose_file() -> None:
    validator = Draft202012Validator(get_builtin_schema("vendor.compose-spec"))
    assert not [error.message for error in validator.iter_errors(COMPOSE)]
    broken = {**COMPOSE, "services": {"postgres": {"imago": "postgres"}}}
    assert list(validator.iter_errors(broken))


def test_every_secret_is_wanted_and_none_has_a_default() -> None:
    secrets = {name for name, _, _ in uses() if SECRET.search(name)} - OPTIONAL_SECRETS
    assert secrets >= set(SECRETS)
    assert not [(name, how) for name, how, _ in uses() if name in secrets and how != ":?"]


def test_no_secret_is_written_down() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not SECRET.search(name) or str(value).startswith("${"), name


def test_init_env_makes_every_variable() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert not {name for name, _, _ in uses()} - set(NAMED.findall(example))
    asked = {name for name, how, _ in uses() if how == ":?"}
    assert asked <= set(re.findall(r"^([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    assert set(re.findall(r"^([A-Z][A-Z0-9_]*)=$", example, re.MULTILINE)) == set(SECRETS)


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_service_is_given_the_secrets_that_it_asks_for_and_no_others(name: str) -> None:
    known = {secret for needs in NEEDS.values() for secret in needs}
    assert known & set(SERVICES[name]["environment"]) == set(NEEDS[name])


@pytest.mark.parametrize("name", ["backup", "worker", "worker-gpu"])
def test_a_backup_reaches_all_that_it_copies(name: str) -> None:
    """By the service and by the deployment of its name, which a worker runs; both into one volume."""
    assert {PREFECT_STORE, MLFLOW_STORE, REVIEW_STORE} <= set(SERVICES[name]["environment"])
    mounted = dict(mount.split(":") for mount in SERVICES[name]["volumes"] if isinstance(mount, str))
    assert {"state", "cache", "artifacts", "backups"} == set(mounted)
    assert mounted["artifacts"] == SERVICES["mlflow"]["volumes"][0].split(":")[1]
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    (said,) = [one["parameters"]["folder"] for one in deployments if one["name"] == "backup"]
    assert mounted["backups"] == ("/backups" if name == "backup" else f"/work/{said}")


def test_ports_are_this_machines_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 5
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert "ports" not in SERVICES["postgres"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_may_do_no_more_than_it_has_to(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["user"] not in ("root", "0", "0:0")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc"} & set(service)
    assert not [mount for mount in service.get("volumes", []) if "docker.sock" in str(mount)]


def test_what_holds_the_clone_does_not_see_everybodys_secrets() -> None:
    holders = {
        name: [mount for mount in service["volumes"] if isinstance(mount, dict)]
        for name, service in SERVICES.items()
        if any(isinstance(mount, dict) and mount["source"] == "." for mount in service.get("volumes", []))
    }
    assert set(holders) == {"worker", "worker-gpu", "s3", "backup"}
    for mounts in holders.values():
        assert {"type": "bind", "source": "/dev/null", "target": "/work/.env"} in mounts


@pytest.mark.parametrize("name", LASTING)
def test_a_lasting_service_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    for other, how in SERVICES[name].get("depends_on", {}).items():
        once = other not in LASTING
        assert how["condition"] == ("service_completed_successfully" if once else "service_healthy")


def test_the_database_is_out_of_reach_of_the_pages() -> None:
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == ["data"]
    assert SERVICES["start"]["networks"] == ["front"]
    for name, service in SERVICES.items():
        reaches = "@postgres:" in json.dumps(service.get("environment", {}))
        assert not reaches or "data" in service["networks"], name


def commands() -> list[list[str]]:
    """Each command of the project's that a service runs, or asks its health with."""
    told = [service.get("command", []) for service in SERVICES.values()]
    asked = [service["healthcheck"]["test"][1:] for service in SERVICES.values() if "healthcheck" in service]
    return [command for command in (*told, *asked) if command[:1] == ["fledgling"]]


@pytest.mark.parametrize("word", sorted({command[1] for command in commands()}))
def test_a_command_and_its_options_exist(word: str) -> None:
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "-m", "fledgling.cli", word, "--help"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    options = {option for command in commands() if command[1] == word for option in command if option[:2] == "--"}
    assert not [option for option in options if option not in done.stdout]


def test_every_file_that_is_mounted_or_run_is_there() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            if isinstance(mount, dict) and mount["source"].startswith("./"):
                assert (ROOT / mount["source"]).exists()
    for path in re.findall(r"/work/(compose/[a-z0-9_.]+)", TEXT):
        assert (ROOT / path).is_file()


def test_the_dockerfile_passes_its_linter() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_finds_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN sudo apt-get install git\n")
    hadolint = Path(sys.executable).with_name("hadolint")
    assert subprocess.run([hadolint, "Dockerfile"], cwd=tmp_path, capture_output=True, check=False).returncode


def test_no_secret_and_no_state_gets_into_the_image(tmp_path: Path) -> None:
    canary = (".env", ".env.s3", ".git/config", ".dvc/config.local", "var/secrets.env", "apps/.env", "data/raw.parquet")
    wanted = ("pyproject.toml", "params.yaml", "apps/start/app.py", ".dvc/config", "compose/healthy.py")
    for path in (*canary, *wanted, "model/__pycache__/x.pyc"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("canary")
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in patterns if line and not line.startswith("#")]
    sent = {
        path for path in exclude_paths(str(tmp_path), rules, dockerfile="Dockerfile") if (tmp_path / path).is_file()
    }
    assert sent == set(wanted)


def test_the_image_has_what_the_services_need() -> None:
    """Each package of the project, and each file that a service names, is let through."""
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    for needed in ("apps", "flows", "tasks", "model", "fledgling", "dvc.yaml", "params.yaml", "prefect.yaml",
                   "rubric.yaml", "profiles", "compose", "constraints.txt", "pyproject.toml", "README.md"):  # fmt: skip
        assert needed in sent
        assert (ROOT / needed).exists()


def test_scripts_are_read_by_their_shell() -> None:
    for script in ("compose/postgres/databases.sh", "compose/s3.sh"):
        done = subprocess.run(["bash", "-n", script], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
