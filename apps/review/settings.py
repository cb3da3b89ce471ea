"""Where the review page listens, whom it lets in, and the secret that it signs with: from the environment."""

import contextlib
import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.stage import STATE, UserError

SECRET, HOSTS, PORT, HTTPS = (f"FLEDGLING_REVIEW_{name}" for name in ("SECRET", "HOSTS", "PORT", "HTTPS"))
MODELS, MODELS_PORT, MODELS_KEYS = (f"FLEDGLING_SERVE_{name}" for name in ("URL", "PORT", "KEYS"))
LOOPBACK = "127.0.0.1"
OWN_HOSTS = (LOOPBACK, "localhost", "[::1]")
LEAST_SECRET = 32  # characters
DEFAULT_PORT = 8100
MODELS_DEFAULT_PORT = 8200  # of `fledgling serve`
ADDRESS = re.compile(r"https?://[^\s/?#]+(/v1)?/?")
SECRET_FILE = STATE / "review" / "secret"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """hosts: names by which browsers may reach the page. is_https: a proxy in front of it speaks HTTPS."""

    host: str
    port: int
    hosts: tuple[str, ...]
    is_https: bool
    secret: str
    prefect_api: str | None  # None: nobody is told that a batch is full
    prefect_auth: str | None  # user:password of the Prefect server
    models: str  # the address of the server that answers reviewers' own questions, without a slash at the end
    models_key: str | None

    @property
    def address(self) -> str:
        """What people type, without a slash at the end."""
        if self.is_https:
            return f"https://{self.hosts[0]}"
        name = self.host if is_loopback(self.host) else self.hosts[0]
        return f"http://{f'[{name}]' if ':' in name and not name.startswith('[') else name}:{self.port}"


def load_settings(
    *, host: str | None = None, port: int | None = None, environment: Mapping[str, str] = os.environ,
    secret_file: Path = SECRET_FILE,
) -> Settings:  # fmt: skip
    """The settings; the secret of a page for this machine alone is made where there is none.

    Raises UserError for a port or hosts that are none, and for an open bind without a secret and hosts.
    """
    bind = host or LOOPBACK
    hosts = _hosts(environment.get(HOSTS, ""))
    secret = environment.get(SECRET, "")
    if not is_loopback(bind) and (len(secret) < LEAST_SECRET or not hosts):
        raise UserError(
            f"host {bind} is open to others: set {SECRET} (at least {LEAST_SECRET} characters; now {len(secret)}) and "
            f"{HOSTS} (the names that browsers use, with commas); without both only {LOOPBACK} is allowed"
        )
    if secret and len(secret) < LEAST_SECRET:
        raise UserError(f"{SECRET} has {len(secret)} characters; at least {LEAST_SECRET}, or none for one of its own")
    return Settings(
        host=bind,
        port=port_of(environment.get(PORT, ""), name=PORT, default=DEFAULT_PORT) if port is None else port,
        hosts=(*hosts, *OWN_HOSTS),  # this machine's own for the probe of a container's health
        is_https=_is_https(environment.get(HTTPS, "false")),
        secret=secret or _kept_secret(secret_file),
        prefect_api=environment.get("PREFECT_API_URL") or None,
        prefect_auth=environment.get("PREFECT_API_AUTH_STRING") or None,
        models=_models(environment),
        models_key=environment.get(MODELS_KEYS, "").partition(",")[0].strip() or None,
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _hosts(said: str) -> tuple[str, ...]:
    hosts = tuple(host.strip().lower() for host in said.split(",") if host.strip())
    if wrong := [host for host in hosts if "*" in host or "/" in host or any(map(str.isspace, host))]:
        raise UserError(f"{HOSTS}: {wrong[0]!r} is no host; give names such as review.example.org, with commas")
    return hosts


def port_of(said: str, *, name: str, default: int) -> int:
    """The port that a variable of the environment names; "": the default. Raises UserError for what is none."""
    if not said:
        return default
    if not said.isdecimal() or not 0 < int(said) < 65_536:
        raise UserError(f"{name} is {said!r}; allowed: 1 to 65535")
    return int(said)


def _models(environment: Mapping[str, str]) -> str:
    """Where the models are served: on this machine, where nothing is said."""
    if not (said := environment.get(MODELS, "")):
        port = port_of(environment.get(MODELS_PORT, ""), name=MODELS_PORT, default=MODELS_DEFAULT_PORT)
        return f"http://{LOOPBACK}:{port}"
    if not ADDRESS.fullmatch(said):
        raise UserError(f"{MODELS} is {said!r}; allowed: an address such as http://{LOOPBACK}:{MODELS_DEFAULT_PORT}")
    return said.rstrip("/").removesuffix("/v1")


def _is_https(said: str) -> bool:
    if said not in ("true", "false"):
        raise UserError(f"{HTTPS} is {said!r}; allowed: true, false")
    return said == "true"


def _kept_secret(file: Path) -> str:
    """The secret in the file; made at the first start, readable by its owner alone."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(48), encoding="utf-8")
        with contextlib.suppress(FileExistsError):  # another process was quicker
            file.hardlink_to(new)
        new.unlink()
    kept = file.read_text(encoding="utf-8").strip()
    if len(kept) < LEAST_SECRET:
        raise UserError(f"{file}: holds {len(kept)} characters; remove it for a new secret (every session then ends)")
    return kept
