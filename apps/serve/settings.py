"""Where the server listens and whom it answers: from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from apps.review.settings import LOOPBACK, is_loopback, port_of
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
    if port is None:
        port = port_of(environment.get(PORT, ""), name=PORT, default=DEFAULT_PORT)
    return Settings(host=bind, port=port, keys=keys)
