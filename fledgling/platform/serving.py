"""The server of the champion: waits until there is one, and says so to who asks meanwhile."""

import http.server
import sys
import threading
import time
from http import HTTPStatus

from apps.serve.settings import load_settings
from fledgling.platform import champion
from fledgling.platform.addresses import bind
from tasks.stage import UserError

LOOK_EVERY_S = 5.0
WAITING = "No champion yet: `fledgling promote`, or an approved release, makes one; it is served from then on.\n"


class _Waiting(http.server.BaseHTTPRequestHandler):
    def _answer(self) -> None:
        self.send_response(HTTPStatus.OK if self.path == "/health" else HTTPStatus.SERVICE_UNAVAILABLE)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(WAITING)))
        self.send_header("Retry-After", str(int(LOOK_EVERY_S)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(WAITING.encode())

    do_GET = do_HEAD = do_POST = _answer  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the start page asks every few seconds."""


def work() -> None:
    """Serves the champion, as soon as there is one."""
    settings = load_settings(host=bind())
    if not champion.is_there():
        server = http.server.ThreadingHTTPServer((settings.host, settings.port), _Waiting)
        waiting = threading.Thread(target=server.serve_forever, daemon=True)
        waiting.start()
        print("serve: no champion yet; it is served as soon as one is promoted", flush=True)
        while not champion.is_there():
            time.sleep(LOOK_EVERY_S)
        server.shutdown()
        server.server_close()
    from apps.serve.server import serve

    serve("champion", host=settings.host)


if __name__ == "__main__":
    try:
        work()
    except UserError as error:
        sys.exit(f"serve: {error}")
