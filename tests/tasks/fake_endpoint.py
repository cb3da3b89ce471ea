"""A server on this machine that speaks as much of OpenAI's HTTP API as the tests need."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# from the number of the request (0, 1, ...) and what it says to a status and a body
Answer = Callable[[int, dict[str, Any]], tuple[int, Any]]


@dataclass
class FakeEndpoint:
    """The server as a test sees it: where it is and what it was asked."""

    address: str
    answer: Answer
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    now: int = 0  # requests under way
    most: int = 0  # at one time
    lock: threading.Lock = field(default_factory=threading.Lock)


def said(text: str | None, *, tokens: int | None = 100) -> tuple[int, Any]:
    """A good answer that says the text; tokens None: the server reports no usage."""
    usage = {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return 200, {
        "id": "1", "object": "chat.completion", "created": 0, "model": "fake", "choices": [choice],
        **({} if tokens is None else {"usage": usage}),
    }  # fmt: skip


def refused(status: int, message: str) -> tuple[int, Any]:
    """An answer with an error, in OpenAI's form."""
    return status, {"error": {"message": message, "type": "error", "code": None}}


@contextmanager
def serving(answer: Answer) -> Iterator[FakeEndpoint]:
    """A server for the length of the block."""
    fake = FakeEndpoint(address="", answer=answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with fake.lock:
                number = len(fake.asked)
                fake.asked.append(body)
                fake.keys.add(self.headers["Authorization"])
                fake.now += 1
                fake.most = max(fake.most, fake.now)
            status, said = fake.answer(number, body) if self.path == "/v1/chat/completions" else (404, "<p>no</p>")
            with fake.lock:
                fake.now -= 1
            data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(said, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("retry-after-ms", "1")  # the client's back-off would cost seconds
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *arguments: object) -> None:
            """Nothing: the other side may be killed."""

    server = Server(("127.0.0.1", 0), Handler)
    fake.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
