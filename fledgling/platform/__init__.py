"""`fledgling platform`: the servers on this machine, their lines in one terminal, until Ctrl+C."""

import contextlib
import json
import os
import shlex
from collections.abc import Iterator

from fledgling.platform.addresses import RUNNING, Ports, ports, refuse_taken
from fledgling.platform.services import Services
from fledgling.platform.settings import commands, environment
from flows import process
from tasks.registry import store
from tasks.stage import UserError, write_text


def serve(*, check: bool) -> None:
    """Serves until SIGINT or SIGTERM; with `check`, only until everything is ready.

    Raises UserError where a port is in use, a service ends by itself, or is not ready in time.
    """
    wanted = ports()
    refuse_taken(wanted)
    store.follow_the_folder()
    services = Services(wanted, check=check)
    for name, command in commands(wanted).items():
        services.add_process(name, f"exec {shlex.join(command)}", env=environment(wanted))
    with _noted(wanted):
        services.loop()
    process.stop_all()
    if services.failure is not None:
        raise UserError(services.failure)


@contextlib.contextmanager
def _noted(wanted: Ports) -> Iterator[None]:
    note = {"pid": os.getpid(), **{name.lower(): url for name, url in wanted.urls().items()}}
    write_text(RUNNING, json.dumps(note) + "\n")
    try:
        yield
    finally:
        RUNNING.unlink(missing_ok=True)
