"""Who may enter the platform: what the environment says, else made once and kept in var/secrets.env."""

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tasks.stage import STATE, UserError

FILE = STATE / "secrets.env"
HERE = "http://127.0.0.1"
OPEN = "FLEDGLING_PLATFORM_OPEN"  # "true": nobody is asked; this machine alone
PREFECT = "PREFECT_API_AUTH_STRING"
MLFLOW_USER, MLFLOW_PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
MLFLOW_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"
REVIEW, SERVE = "FLEDGLING_REVIEW_SECRET", "FLEDGLING_SERVE_KEYS"
NAMES = (PREFECT, MLFLOW_USER, MLFLOW_PASSWORD, MLFLOW_KEY, REVIEW, SERVE)

USER = "admin"
LEAST = {MLFLOW_PASSWORD: 12, MLFLOW_KEY: 32, REVIEW: 32, SERVE: 16}  # characters
KNOWN = ("password1234",)  # MLflow's default of earlier versions


def is_open() -> bool:
    """Whether somebody asked for a platform without logins. Raises UserError for what is neither true nor false."""
    said = os.environ.get(OPEN) or "false"
    if said not in ("true", "false"):
        raise UserError(f"{OPEN} is {said!r}; allowed: true, false")
    return said == "true"


def take(names: Sequence[str] = NAMES, *, make: bool = False) -> bool:
    """Puts logins into the environment; whether some were made now. An open platform has none.

    make: those that are nowhere are made and kept. Raises UserError where one is too weak, missing, or read by others.
    """
    if is_open():
        for name in NAMES:
            os.environ.pop(name, None)
        return False
    given = {name: os.environ[name] for name in names if os.environ.get(name)}
    found = {name: value for name, value in kept().items() if name in names} | given
    made = {name: value for name, value in _new().items() if name in names and name not in found}
    if made and not make:
        raise UserError(f"{', '.join(made)}: not set; `fledgling init-env` writes a .env with all of them")
    for name, value in found.items():
        _check(name, value)
    if made:
        _keep({**kept(), **made})
    os.environ.update({**found, **made})
    return bool(made)


def kept(file: Path = FILE) -> dict[str, str]:
    """What the file holds; somebody else's holds nothing. Raises UserError where others than its owner may read it."""
    if not file.exists() or not os.access(file, os.R_OK):
        return {}
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(f"{file}: others may read it; `chmod 600 {file}`, or remove it and every login is made anew")
    lines = (line.partition("=") for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in lines if name in NAMES and value}


def lend(environment: MutableMapping[str, str] = os.environ) -> None:
    """Has a command of this folder find the platform's MLflow, and be let in: never on another machine."""
    if environment.get("MLFLOW_BACKEND_STORE_URI") and not environment.get("MLFLOW_TRACKING_URI"):
        port = environment.get("FLEDGLING_MLFLOW_PORT") or "5000"
        environment["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{port}"
    names: list[str] = []
    if is_here(environment.get("PREFECT_API_URL") or HERE):
        names += [PREFECT]
    if is_here(environment.get("MLFLOW_TRACKING_URI", "")) and not environment.get(MLFLOW_PASSWORD):
        names += [MLFLOW_USER, MLFLOW_PASSWORD]
    for name, value in (kept() if names else {}).items():
        if name in names:
            environment.setdefault(name, value)


def key_of(server: str) -> str:
    """The key that a server of the model asks for: the environment's, or the platform's where it is this machine's."""
    given = os.environ.get(SERVE, "") or (kept().get(SERVE, "") if is_here(server) else "")
    return given.partition(",")[0].strip()


def is_here(address: str) -> bool:
    """Whether an address is one of this machine alone."""
    return urlsplit(address).hostname in ("127.0.0.1", "localhost", "::1")


def told(environment: Mapping[str, str] = os.environ) -> list[str]:
    """How a person comes in, a line for each page; the owner's way into the review page is that page's own to say."""
    return [
        f"Prefect asks for: {environment[PREFECT]}",
        f"MLflow asks for: user {environment[MLFLOW_USER]}, password {environment[MLFLOW_PASSWORD]}",
        f"the chat page's settings and programs ask for the key: {environment[SERVE].partition(',')[0]}",
    ]


def _new() -> dict[str, str]:
    return {
        PREFECT: f"{USER}:{secrets.token_urlsafe(18)}",
        MLFLOW_USER: USER,
        MLFLOW_PASSWORD: secrets.token_urlsafe(18),
        MLFLOW_KEY: secrets.token_urlsafe(36),
        REVIEW: secrets.token_urlsafe(36),
        SERVE: secrets.token_urlsafe(24),
    }


def _check(name: str, value: str) -> None:
    shown = f"{name} (from the environment or {FILE})"
    if not value.isascii() or not value.isprintable() or any(map(str.isspace, value)):
        raise UserError(f"{shown}: allowed are ASCII characters without spaces")
    if name == PREFECT:
        _, _, password = value.partition(":")
        if len(password) < LEAST[MLFLOW_PASSWORD]:
            raise UserError(f"{shown}: allowed is USER:PASSWORD, the password of {LEAST[MLFLOW_PASSWORD]} characters")
    elif len(value) < LEAST.get(name, 1) or value in KNOWN:
        raise UserError(f"{shown}: {len(value)} characters; allowed: at least {LEAST.get(name, 1)}, not a known one")


def _keep(values: Mapping[str, str]) -> None:
    FILE.parent.mkdir(parents=True, exist_ok=True)
    new = FILE.with_name(f".{FILE.name}-{secrets.token_hex(8)}")
    lines = "".join(f"{name}={values[name]}\n" for name in NAMES if name in values)
    with contextlib.ExitStack() as undone:
        undone.callback(new.unlink, missing_ok=True)
        new.touch(mode=0o600)
        new.write_text("# the platform's logins, made by `fledgling platform`; remove for new ones\n" + lines)
        new.replace(FILE)
