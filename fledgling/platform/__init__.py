"""`fledgling platform`: the servers on this machine, their lines in one terminal, until Ctrl+C."""

import contextlib
import json
import os
import shlex
from collections.abc import Iterator

from fledgling import logins
from fledgling.platform import readiness
from fledgling.platform.addresses import RUNNING, Ports, ports, refuse_taken
from fledgling.platform.api import POOL, pool
from fledgling.platform.services import Services
from fledgling.platform.settings import NEEDS, commands, environment
from flows import process
from tasks.registry import store
from tasks.stage import UserError, write_text


def serve(*, check: bool) -> None:
    """Serves until SIGINT or SIGTERM; with `check`, only until everything is ready.

    Raises UserError where a port is in use, a service ends by itself, or is not ready in time.
    """
    if pool() != POOL:
        raise UserError(
            f"FLEDGLING_POOL={pool()} is one more clone's: `fledgling platform --only deploy`, `--only worker`"
        )
    wanted = ports()
    refuse_taken(wanted)
    store.follow_the_folder()
    services = Services(wanted, check=check, greeting=_greeting(made=logins.take(make=True)))
    for name, command in commands(wanted).items():
        services.add_process(name, f"exec {shlex.join(command)}", env=environment(wanted, name))
    with _noted(wanted):
        services.loop()
    process.stop_all()
    if services.failure is not None:
        raise UserError(services.failure)


def become(service: str) -> None:
    """Becomes one of the services, in this process; the others' addresses are the environment's.

    Raises UserError for a name that is none, and where a login is missing.
    """
    if service not in NEEDS:
        raise UserError(f"--only {service}: there is no such service; allowed: {', '.join(NEEDS)}")
    wanted = ports()
    logins.take([name for name in NEEDS[service] if name in logins.NAMES])
    if service == "deploy":
        readiness.deploy(wanted)
        return
    command = commands(wanted)[service]
    os.execve(command[0], command, environment(wanted, service, alone=True))  # noqa: S606


def _greeting(*, made: bool) -> list[str]:
    """Said once everything is ready: the logins in full when they are new, later only where they are."""
    if logins.is_open():
        return ["nobody is asked for a login (FLEDGLING_PLATFORM_OPEN=true): who reaches this machine is in"]
    if not made:
        return [f"the logins are in the environment or in {logins.FILE} (its owner's alone)"]
    return [*logins.told(), f"these logins are kept in {logins.FILE} (its owner's alone) and not said again"]


@contextlib.contextmanager
def _noted(wanted: Ports) -> Iterator[None]:
    note = {"pid": os.getpid(), **{name.lower(): url for name, url in wanted.urls().items()}}
    write_text(RUNNING, json.dumps(note) + "\n")
    try:
        yield
    finally:
        RUNNING.unlink(missing_ok=True)
