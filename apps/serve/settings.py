"""Where the server listens and whom it answers: from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from apps.review.settings import LOOPBACK, is_loopback
from tasks.stage import UserError

KEYS, PORT = "FLEDGLING_SERVE_KEYS", "FLEDGLING_SERVE_PORT"
DEFAULT_PORT = 8200
LEAST_KEY = 16  # characters


@dataclass(frozen=True, kw_only=True)
class Settings:
    """keys: one of them is asked for; none: who reaches this machine's own address may ask."""

    host: str
    port: int
    keys: tuple[str, ...]

    @property
    def address(self) -> str:
        """What people type, without a slash at the end."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def load_settings(
    *, host: str | None = None, port: int | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """The settings. Raises UserError for a port or a key that is none, and for an open bind without keys."""
    bind = (host or LOOPBACK).strip("[]")
    keys = tuple(key.strip() for key in environment.get(KEYS, "").split(",") if key.strip())
    if wrong := [key for key in keys if len(key) < LEAST_KEY or not key.isascii() or not key.isprintable()]:
        raise UserError(f"{KEYS}: a key has {len(wrong[0])} characters; allowed: ASCII, at least {LEAST_KEY}")
    if not is_loopback(bind) and not keys:
        raise UserError(f"host {bind} is open to others: set {KEYS} (with commas); without only {LOOPBACK} is allowed")
    return Settings(host=bind, port=_port(environment.get(PORT, "")) if port is None else port, keys=keys)


def _port(said: str) -> int:
    if not said:
        return DEFAULT_PORT
    if not said.isdecimal() or not 0 < int(said) < 65_536:
        raise UserError(f"{PORT} is {said!r}; allowed: 1 to 65535")
    return int(said)
