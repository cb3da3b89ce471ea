"""The start page over parts that are there, away, or not ready: what it says, where it links, what it asks for."""

import contextlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from apps.start.app import create_app
from apps.start.parts import PARTS
from flows.local import free_port
from tests.e2e.workspace import wait_for

LOGIN = "admin:of-the-tests-of-the-start-page"
WELL: dict[str, tuple[int, Any]] = {
    "/api/ready": (200, {"message": "OK"}),
    "/api/work_pools/fledgling": (200, {"status": "READY"}),
    "/health": (200, "OK"),
    "/healthz": (200, "ok"),
    "/ready": (200, {"status": "ready", "served": {"fledgling/3": 1.0}}),
}


class Answering:
    """One server that stands for all parts. says: what it answers to a path."""

    def __init__(self) -> None:
        self.says = dict(WELL)
        self.logins: list[str | None] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "work_pools" in self.path:
                    outer.logins.append(self.headers["Authorization"])
                status, body = outer.says.get(self.path, (404, ""))
                text = body if isinstance(body, str) else json.dumps(body)
                self.send_response(status)
                kind = "text/plain" if isinstance(body, str) else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    made = Answering()
    for part in PARTS:
        monkeypatch.setenv(part.variable, str(made.port))
        monkeypatch.delenv(part.inside, raising=False)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", LOGIN)
    yield made
    made.server.shutdown()
    made.server.server_close()


@contextlib.contextmanager
def served(*hosts: str) -> Iterator[str]:
    """The address of the start page."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(hosts), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        wait_for(lambda: server.started, limit_s=30, what="the start page", every_s=0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)


def state(address: str) -> dict[str, tuple[str, str]]:
    found = httpx.get(f"{address}/state", timeout=30).raise_for_status().json()
    return {one["name"]: (one["state"], one["line"]) for one in found}


def test_what_is_well_and_what_is_not(parts: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as address:
        assert state(address) == {
            "prefect": ("well", "ready"),
            "mlflow": ("well", "ready"),
            "review": ("well", "ready"),
            "serve": ("well", "serves fledgling/3"),
            "worker": ("well", "waits for runs"),
        }
        parts.says |= {"/ready": (503, "no"), "/health": (500, ""), "/api/work_pools/fledgling": (401, {})}
        monkeypatch.setenv("FLEDGLING_REVIEW_PORT", str(free_port()))
        found = state(address)
    assert found["serve"] == ("waiting", "no champion yet")
    assert found["mlflow"] == ("away", "answers 500")
    assert found["review"] == ("away", "does not answer")
    assert found["worker"][0] == "away"
    assert "PREFECT_API_AUTH_STRING" in found["worker"][1]


def test_a_model_that_loads_and_a_worker_that_is_gone(parts: Answering) -> None:
    parts.says |= {"/ready": (503, {"status": "loading"}), "/api/work_pools/fledgling": (200, {"status": "NOT_READY"})}
    with served() as address:
        found = state(address)
    assert found["serve"] == ("waiting", "loads the model")
    assert found["worker"] == ("waiting", "none is there: runs are kept until one is")


def test_the_page_holds_no_login_and_links_by_its_own_host(parts: Answering) -> None:
    with served("platform.example") as address:
        page = httpx.get(address, headers={"Host": "platform.example:8000"})
        assert page.text.count(f'href="http://platform.example:{parts.port}"') == len(PARTS)
        told = page.text + httpx.get(f"{address}/state", timeout=30).text
        assert LOGIN not in told
        assert LOGIN.partition(":")[2] not in told
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert httpx.get(address, headers={"Host": "evil.example"}).status_code == 400
    assert parts.logins[0]
    assert parts.logins[0].startswith("Basic ")


def test_it_changes_nothing(parts: Answering) -> None:
    with served() as address:
        for path in ("/", "/state", "/health"):
            assert httpx.post(f"{address}{path}").status_code == 405


@pytest.mark.browser
def test_in_the_browser_it_follows_what_happens(parts: Answering, browser: Any) -> None:
    page = browser.new_context().new_page()
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    with served() as address:
        page.goto(address)
        page.wait_for_selector('[data-part="serve"][data-state="well"]')
        assert page.inner_text('[data-part="serve"] [data-line]') == "serves fledgling/3"
        parts.says["/ready"] = (503, "no")
        page.wait_for_selector('[data-part="serve"][data-state="waiting"]', timeout=30_000)
        page.close()
    assert faults == []
    assert {url.split("/")[2] for url in asked} == {address.split("/")[2]}  # nothing outside
