"""The server in a process of its own, for measurements, and a model of random weights that it serves.

`python -m benchmarks.served_model FOLDER CHANGES` serves by params.yaml; CHANGES: of its section `serve`, as JSON.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.generation import THREADS, six_million, write_folder

SENTENCE = 2.5  # the full stop's row of the embedding is so much longer: a sentence is some ten tokens, as in a story
READY_S = 120.0


@dataclass(frozen=True)
class Server:
    """One that answers."""

    port: int
    process: "subprocess.Popen[str]"

    @property
    def memory_mib(self) -> float:
        """What of it is in memory."""
        import psutil

        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20

    def wait_idle(self) -> None:
        """Until nothing is being made or waits."""
        give_up_at = time.monotonic() + READY_S
        while any(self.figures()[name] for name in ("fledgling_slots_live", "fledgling_waiting")):
            assert time.monotonic() < give_up_at, "a slot is not free"
            time.sleep(0.05)

    def figures(self) -> dict[str, float]:
        """What it tells Prometheus, labels left out; what several labels have is added up."""
        from prometheus_client.parser import text_string_to_metric_families

        found: dict[str, float] = {}
        text = _get(f"http://127.0.0.1:{self.port}/metrics").decode()
        for sample in (sample for family in text_string_to_metric_families(text) for sample in family.samples):
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
        return found


@contextlib.contextmanager
def serving(folder: Path, **changes: Any) -> Iterator[Server]:
    """A server of a model folder, from when it is ready; changes: of the section `serve`."""
    command = [sys.executable, "-m", "benchmarks.served_model", str(folder), json.dumps(changes)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        server = Server(int(process.stdout.readline()), process)
        give_up_at = time.monotonic() + READY_S
        while not _is_ready(server.port):
            assert time.monotonic() < give_up_at, "the server never became ready"
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.communicate()


def write_model(folder: Path) -> None:
    """The 6 million parameters of the other rows, with a full stop as often as in a story."""
    import torch
    from tokenizers import Tokenizer

    from model.checkpoint import save_model

    model = six_million()
    write_folder(folder, model)
    full_stop = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(".")
    with torch.no_grad():
        model.model.embed_tokens.weight[full_stop] *= SENTENCE
    save_model(folder, model, tokenizer=None)


def _is_ready(port: int) -> bool:
    with contextlib.suppress(OSError):  # it answers 503 until then
        return bool(_get(f"http://127.0.0.1:{port}/ready"))
    return False


def _get(address: str) -> bytes:
    with urllib.request.urlopen(address) as reply:  # noqa: S310
        return bytes(reply.read())


def _serve(folder: str, changes: dict[str, Any]) -> None:
    from apps.serve import server
    from apps.serve.settings import Settings
    from tasks.serving.params import ServeParams
    from tasks.stage import load_params

    section = load_params(ServeParams, "serve").model_dump()
    for name, value in changes.items():
        section[name] = {**section[name], **value} if isinstance(value, dict) else value
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        port = listening.getsockname()[1]
        settings = Settings(host="127.0.0.1", port=port, keys=())
        service = server.make_service(settings, ServeParams.model_validate(section), reference=folder)
        print(port, flush=True)
        server.run(service, listening)


if __name__ == "__main__":
    _serve(sys.argv[1], json.loads(sys.argv[2]))
