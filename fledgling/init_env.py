"""`fledgling init-env`: .env, made from .env.example with generated secrets; no secret is ever printed."""

import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from tasks.stage import UserError

FILE, TEMPLATE = Path(".env"), Path(".env.example")
FOLDERS = (Path("var"), Path(".dvc/cache"))  # mounted over in containers: made by Docker they were root's
CONTAINER_ID = 1000  # of user and group, where root makes the file: nothing in a container runs as root
_OPEN = re.compile(r"^([A-Z][A-Z0-9_]*)=\n", re.MULTILINE)


def _word() -> str:
    return secrets.token_urlsafe(24)  # 32 characters that neither a shell nor an address has to quote


SECRETS: Mapping[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": _word,
    "FLEDGLING_PREFECT_DB_PASSWORD": _word,
    "FLEDGLING_MLFLOW_DB_PASSWORD": _word,
    "FLEDGLING_REVIEWS_DB_PASSWORD": _word,
    "PREFECT_API_AUTH_STRING": lambda: f"admin:{_word()}",
    "MLFLOW_TRACKING_PASSWORD": _word,
    "MLFLOW_FLASK_SERVER_SECRET_KEY": _word,
    "FLEDGLING_REVIEW_SECRET": lambda: secrets.token_urlsafe(48),
    "FLEDGLING_SERVE_KEYS": _word,
    "FLEDGLING_RELOAD_KEY": _word,
}


def init_env(*, gpu: bool = False) -> str:
    """Writes .env, readable by its owner alone; returns what it made, without a secret.

    gpu: the worker in containers is the one with a GPU. Raises UserError where there is a .env already, or no
    .env.example.
    """
    text = _filled(_template(), gpu=gpu)
    for folder in FOLDERS:
        folder.mkdir(parents=True, exist_ok=True)
    _write_new(text)
    root = f" This is root's clone: `chown -R {CONTAINER_ID}:{CONTAINER_ID} .`, no container runs as root."
    return (
        f"{FILE} (readable by you alone): {len(SECRETS)} generated secrets: {', '.join(SECRETS)}. The logins of "
        f"Prefect (PREFECT_API_AUTH_STRING) and MLflow (MLFLOW_TRACKING_USERNAME, _PASSWORD) stand in it. Keep a copy "
        f"apart from the backups; git and the image leave it out.{root if _owner()[0] != os.getuid() else ''}"
    )


def _template() -> str:
    try:
        return TEMPLATE.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{TEMPLATE}: no such file; run from the project's root") from None


def _filled(text: str, *, gpu: bool) -> str:
    """The template with a value for each name that it leaves open. Raises UserError for one that nobody makes."""
    if unknown := sorted(set(_OPEN.findall(text)) - set(SECRETS)):
        raise UserError(f"{TEMPLATE}: nothing is known to generate for {unknown[0]}; give it a value there")
    text = _OPEN.sub(lambda found: f"{found[1]}={SECRETS[found[1]]()}\n", text)
    user, group = _owner()
    settings = {"FLEDGLING_UID": str(user), "FLEDGLING_GID": str(group)}
    if gpu:
        settings |= {"FLEDGLING_CPU_WORKERS": "0", "COMPOSE_PROFILES": "gpu"}
    for name, value in settings.items():
        text = re.sub(rf"^#?{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
    return text


def _owner() -> tuple[int, int]:
    """The user and group of what a worker in a container writes."""
    return (os.getuid(), os.getgid()) if os.getuid() else (CONTAINER_ID, CONTAINER_ID)


def _write_new(text: str) -> None:
    """Writes the file, never over another one and never readable by others, not even for a moment."""
    try:
        descriptor = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"{FILE} is there already and stays as it is; move it away for new secrets") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
