"""Label Studio as a peer: a server of its own, from an environment of its own, and a reader at its page.

    python3.11 -m venv var/label-studio
    var/label-studio/bin/pip install label-studio

Never in the project's environment: it wants other versions of numpy and of much else.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tasks.stage import UserError
from tasks.telemetry import OFF
from tests.apps.review.filled import free_port

PLACE = Path("var/label-studio")
START_S = 900  # the first start makes some 300 migrations: minutes on a busy machine
ASK_S = 60
WAIT_MS = 60_000
EMAIL, PASSWORD, TOKEN = "reader@example.com", "a-password-of-tests", "0123456789abcdef" * 2 + "01234567"
QUIET = {"COLLECT_ANALYTICS": "false", "LATEST_VERSION_CHECK": "false", "SENTRY_DSN": "", "LOG_LEVEL": "WARNING"}
SHOWN = ".lsf-richtext__container"
READY = f"""before => {{
    const texts = [...document.querySelectorAll("{SHOWN}")].map(shown => shown.innerText)
    const submit = document.querySelector('button[aria-label="Submit current annotation"]')
    return texts.length === 3 && texts.join() !== before && submit && !submit.disabled
        && (document.querySelector(".lsf-choices input[name=left]") || document.querySelectorAll(".cursor-pointer > {SHOWN}").length === 2)
}}"""  # noqa: E501


@dataclass(frozen=True)
class Studio:
    """A server that answers."""

    address: str

    def ask(self, method: str, path: str, **named: Any) -> Any:
        headers = {"Authorization": f"Token {TOKEN}"}
        reply = httpx.request(method, f"{self.address}{path}", headers=headers, timeout=ASK_S, **named)
        reply.raise_for_status()
        return reply.json()

    @property
    def version(self) -> str:
        return str(self.ask("GET", "/api/version/")["release"])

    def project(self, config: str, tasks: Sequence[Mapping[str, Any]]) -> int:
        """The number of a new project that holds the tasks and hands them out in this order."""
        wanted = {"title": "pairs", "label_config": config, "sampling": "Sequential sampling"}
        number = int(self.ask("POST", "/api/projects/", json=wanted)["id"])
        self.ask("POST", f"/api/projects/{number}/import", json=list(tasks))
        return number

    def exported(self, project: int) -> list[dict[str, Any]]:
        """The tasks that were annotated, as its JSON."""
        found = self.ask("GET", f"/api/projects/{project}/export?exportType=JSON")
        assert isinstance(found, list)
        return found


@dataclass(frozen=True)
class StudioDesk:
    """Its page in a browser, labelling a project. key: that decides; None: a click on the left text does."""

    page: Any
    key: str | None

    @property
    def shown(self) -> list[str]:
        return [str(text.inner_text()) for text in self.page.query_selector_all(SHOWN)]

    def decide(self) -> None:
        """The quickest way there is, until the next pair can be read and decided."""
        before = ",".join(self.shown)
        if self.key:
            self.page.keyboard.press(self.key)
        else:
            self.page.click(f".cursor-pointer > {SHOWN}")
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function(READY, arg=before, timeout=WAIT_MS)


@contextlib.contextmanager
def studio(venv: Path) -> Iterator[Studio]:
    """Label Studio on SQLite, on this machine alone, from its first answer to its end; what it keeps is in VENV/data.

    Raises UserError where it is not installed.
    """
    program = venv.absolute() / "bin" / "label-studio"
    if not program.exists():
        raise UserError(
            f"Label Studio is not in {venv}: `python3.11 -m venv {venv} && {venv}/bin/pip install label-studio`, or "
            "`python -m benchmarks.review_label_studio VENV`"
        )
    port, folder = free_port(), venv.absolute() / "data"
    folder.mkdir(exist_ok=True)
    command = [str(program), "start", "--no-browser", "--internal-host", "127.0.0.1", "-p", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--data-dir", str(folder), "--enable-legacy-api-token"],
            env=_environment(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            yield _when_up(Studio(f"http://127.0.0.1:{port}"), process, folder / "server.log")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(ASK_S)


@contextlib.contextmanager
def at_the_studio(browser: Any, server: Studio, project: int, *, key: str | None = None) -> Iterator[StudioDesk]:
    """Somebody who has logged in and opened a project's label stream; their browser asks nobody else."""
    opened = browser.new_context()
    page = opened.new_page()
    page.set_default_timeout(WAIT_MS)
    page.route(lambda url: not url.startswith(server.address), lambda route: route.abort())
    page.goto(f"{server.address}/user/login/")
    page.fill("input[name=email]", EMAIL)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/user/login" not in url)
    page.goto(f"{server.address}/projects/{project}/data?labeling=1")
    page.wait_for_function(READY, arg="")
    try:
        yield StudioDesk(page, key)
    finally:
        opened.close()


def _environment(folder: Path) -> dict[str, str]:
    own = {"LABEL_STUDIO_USERNAME": EMAIL, "LABEL_STUDIO_PASSWORD": PASSWORD, "LABEL_STUDIO_USER_TOKEN": TOKEN}
    return {"PATH": os.environ["PATH"], "HOME": str(folder), **OFF, **QUIET, **own}


def _when_up(server: Studio, process: "subprocess.Popen[bytes]", log: Path) -> Studio:
    give_up_at = time.monotonic() + START_S
    while time.monotonic() < give_up_at and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{server.address}/health").is_success:
                return server
        time.sleep(0.2)
    raise UserError(f"Label Studio does not start: {log.read_text(errors='replace').strip().splitlines()[-1:]}")
