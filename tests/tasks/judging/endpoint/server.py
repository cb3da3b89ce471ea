"""A judge's server as a process of its own: it judges by a rule of thumb, and misbehaves where it is told to.

A rule is an object: `when` (words that a message must hold), `needs_schema` (only requests with a response_format),
`times` (how often; none: always), and what to do: `status`, `headers`, `say` (what the model says), `choice` (more
fields of the choice), `message` (of the message), `raw` (the whole body), `delay_s`, `hold` (no answer, ever).
"""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FENCED = re.compile(r"<<<ANSWER(?: [A-D])? ([0-9a-f]{16})>>>\n(.*?)\n<<<END ANSWER", re.DOTALL)
AXIS = re.compile(r'"(\w+)": \{"reason"')


class Server:
    """The process as a test sees it."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.address = f"{self.root}/v1"

    def rules(self, *rules: dict[str, Any]) -> None:
        """What it does besides judging, from now on; the first rule that fits is taken."""
        self._call("/rules", json.dumps(rules).encode())

    def forget(self) -> None:
        """Forgets what was asked."""
        self._call("/forget", b"[]")

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Every request so far: `body`, `at` (seconds), `key`, `is_answered`; `most`, the most at one time by then."""
        return list(self._call("/asked"))

    def _call(self, path: str, data: bytes | None = None) -> Any:
        with urllib.request.urlopen(self.root + path, data) as reply:  # noqa: S310
            return json.loads(reply.read())


@contextmanager
def serving() -> Iterator[Server]:
    """The process for the length of the block."""
    process = subprocess.Popen([sys.executable, str(Path(__file__))], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Server(int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


def verdict(messages: list[dict[str, str]]) -> str:
    """As many levels as the answer has the word good; the more, the better."""
    system, answers = messages[0]["content"], [text for _, text in FENCED.findall(messages[1]["content"])]
    form = system.rpartition("\n\n")[2]
    goods = [min(4, answer.count("good")) for answer in answers]
    if '"ranking"' in form:
        letters = "ABCD"[: len(goods)]
        tiers = [[letters[at] for at, good in enumerate(goods) if good == level] for level in (4, 3, 2, 1, 0)]
        reasons = {letter: f"It has {goods[at]} good words." for at, letter in enumerate(letters)}
        return json.dumps({"reasons": reasons, "ranking": [tier for tier in tiers if tier]})
    if '"better"' in form:
        better = "tie" if goods[0] == goods[1] else "A" if goods[0] > goods[1] else "B"
        return preference(AXIS.findall(form.partition('"verdict"')[0]), better)
    return json.dumps(
        {axis: {"reason": f"It has {goods[0]} good words.", "level": 1 + goods[0]} for axis in AXIS.findall(form)}
    )


def preference(axes: list[str], better: str) -> str:
    """A reply to a pair that prefers one on every axis."""
    one = {"reason": f"The better one is {better}.", "better": better}
    return json.dumps({"axes": dict.fromkeys((axis for axis in axes if axis != "axes"), one), "verdict": one})


class _State:
    def __init__(self) -> None:
        self.rules: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.now = 0
        self.lock = threading.Lock()

    def rule_for(self, body: dict[str, Any]) -> dict[str, Any]:
        words = "\n".join(message["content"] for message in body["messages"])
        for rule in self.rules:
            fits = rule.get("when", "") in words and ("response_format" in body or not rule.get("needs_schema"))
            if fits and rule.get("times", 1) > 0:
                if "times" in rule:
                    rule["times"] -= 1
                return rule
        return {}


STATE = _State()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(200, json.dumps(STATE.asked))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/rules":
            STATE.rules = body
            self._send(200, "{}")
            return
        if self.path == "/forget":
            STATE.asked, STATE.now = [], 0
            self._send(200, "{}")
            return
        with STATE.lock:
            rule = STATE.rule_for(body)
            STATE.now += 1
            asked = {"body": body, "at": time.monotonic(), "key": self.headers["Authorization"], "most": STATE.now}
            STATE.asked.append({**asked, "is_answered": False})
            mine = STATE.asked[-1]
        if rule.get("hold"):
            time.sleep(600)
        time.sleep(rule.get("delay_s", 0))
        with STATE.lock:
            STATE.now -= 1
            mine["is_answered"] = rule.get("status", 200) == 200
        self._send(rule.get("status", 200), self._said(rule, body), rule.get("headers", {"retry-after-ms": "1"}))

    def _said(self, rule: dict[str, Any], body: dict[str, Any]) -> str:
        if "raw" in rule:
            return str(rule["raw"])
        if rule.get("status", 200) != 200:
            return json.dumps({"error": {"message": rule.get("say", "no"), "type": "error", "code": rule.get("code")}})
        said = rule["say"] if "say" in rule else verdict(body["messages"])
        message = {"role": "assistant", "content": said, **rule.get("message", {})}
        choice = {"index": 0, "finish_reason": "stop", "message": message, **rule.get("choice", {})}
        usage = {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000}
        return json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "judge-1-2026",
                           "choices": [choice], "usage": usage})  # fmt: skip

    def _send(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments: object) -> None:
        """Nothing: the other side may be killed."""


if __name__ == "__main__":
    server = _Quiet(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
