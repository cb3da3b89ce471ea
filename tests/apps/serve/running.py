"""The server with a tiny real model, by uvicorn on a free port, in a thread of this process."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import yaml

from apps.serve import server
from apps.serve.service import Service
from apps.serve.settings import Settings
from model.checkpoint import save_model
from model.engine import Continuation, Engine, Step
from model.torch_engine import TorchEngine
from tasks.chat import write_chat_files, write_generation_config
from tasks.serving.fleet import Load
from tasks.serving.live import Live, load
from tasks.serving.params import ServeParams
from tasks.serving.versions import Served
from tasks.tokenizer_kinds import Kind, train_tokenizer
from tests.conftest import ROOT, sentences
from tests.tasks.small import VOCABULARY, decoder

READY_S = 30.0
CHAT = [{"role": "user", "content": "Write a story with the words owl, noon, moon."}]


def write_model(folder: Path, *, seed: int = 0, kind: Kind = "bpe", chats: bool = True, **shape: Any) -> Path:
    """A model folder: random weights that were never trained, a tokenizer of a few sentences. shape: of the model."""
    made = folder.with_name(f"{folder.name}-tokenizer")
    made.mkdir(parents=True)
    codec = train_tokenizer(sentences(40), kind=kind, vocabulary_size=VOCABULARY, pre_tokenizer="gpt-2")
    codec.save(str(made / "tokenizer.json"))
    write_chat_files(made)
    save_model(folder, decoder(seed=seed, **shape), tokenizer=made / "tokenizer.json")
    if chats:
        write_generation_config(folder)
    return folder


class Slow:
    """A real engine whose steps take their time."""

    def __init__(self, engine: Engine, *, step_s: float) -> None:
        self.name, self.context, self.slots = engine.name, engine.context, engine.slots
        self._engine, self._step_s = engine, step_s

    def join(self, asked: Continuation) -> int:
        return self._engine.join(asked)

    def step(self) -> list[Step]:
        time.sleep(self._step_s)
        return self._engine.step()

    def leave(self, slot: int) -> None:
        self._engine.leave(slot)

    def close(self) -> None:
        self._engine.close()


def slowly(step_s: float) -> Load:
    """Loads a version as the server does, and slows it down."""

    def load_slow(served: Served, params: ServeParams) -> Live:
        from model.checkpoint import load_model

        engine = Slow(TorchEngine(load_model(served.folder), slots=params.slots), step_s=step_s)
        return Live(served, engine, queue=params.queue, decoder=lambda: load_model(served.folder))

    return load_slow


def serve_params(**changes: Any) -> ServeParams:
    """The project's, for small models."""
    section = yaml.safe_load((ROOT / "params.yaml").read_text())["serve"]
    return ServeParams.model_validate({**section, "max_tokens": 24, "poll_s": 0.1, **changes})


@dataclass(frozen=True)
class Running:
    """A server that answers. http: a client of it, by paths. live: of its main model."""

    service: Service
    http: httpx.Client

    @property
    def address(self) -> str:
        return self.service.settings.address

    @property
    def client(self) -> openai.OpenAI:
        return self.client_with("none")

    def client_with(self, key: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.address}/v1", api_key=key, max_retries=0, http_client=self.http)

    @property
    def live(self) -> Live:
        return self.service.fleet.lives[0][0]

    def post(self, path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
        return self.http.post(path, json={"model": "fledgling", **body})

    def ask(self, **body: Any) -> httpx.Response:
        """A chat."""
        return self.post(**{"messages": CHAT, **body})

    def idle(self) -> None:
        """Waits until nothing is being made."""
        wait_until(lambda: self.live.loop.figures.live == self.live.loop.figures.waiting == 0)


@contextlib.contextmanager
def running(
    reference: str, *, beside: Sequence[str] = (), keys: tuple[str, ...] = (), load: Load = load, wait: bool = True,
    **params: Any,
) -> Iterator[Running]:  # fmt: skip
    """A server, from its first answer (ready, unless `wait` is False) to its end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = Settings(host="127.0.0.1", port=listening.getsockname()[1], keys=keys)
        service = server.make_service(settings, serve_params(**params), reference=reference, beside=beside, load=load)
        uvicorn = server.uvicorn_server(service)
        thread = threading.Thread(target=uvicorn.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_until(lambda: uvicorn.started and (service.fleet.is_ready or not wait))
            with httpx.Client(base_url=settings.address, timeout=30) as client:
                yield Running(service, client)
        finally:
            uvicorn.should_exit = True
            thread.join(READY_S)


def wait_until(is_so: Any, *, limit_s: float = READY_S) -> None:
    """Returns as soon as it is so."""
    give_up_at = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < give_up_at, "it never came to be"
        time.sleep(0.005)
