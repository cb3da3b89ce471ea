"""`serve.engine: llama.cpp`, through the real server, with OpenAI's own client."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apps.serve.running import CHAT, Running, running
from tests.conftest import MISSING

pytest.importorskip("llama_cpp", reason=f"{MISSING}llama-cpp-python (`make llama-cpp` builds it)")

WAYS: tuple[dict[str, Any], ...] = (
    {"temperature": 0, "max_tokens": 30},
    {"temperature": 0.9, "top_p": 0.95, "max_tokens": 30, "seed": 3},
)


@pytest.fixture(scope="module")
def llama(model_folder: Path) -> Iterator[Running]:
    with running(str(model_folder), engine="llama.cpp", slots=4) as made:
        yield made


@pytest.mark.parametrize("way", WAYS, ids=["greedy", "sampled"])
def test_the_openai_client_reads_the_torch_engines_text(llama: Running, server: Running, way: dict[str, Any]) -> None:
    said = [
        one.client.chat.completions.create(model="fledgling", messages=CHAT, **way)  # type: ignore[call-overload]
        for one in (llama, server)
    ]
    texts = [reply.choices[0].message.content for reply in said]
    assert texts[0] == texts[1]
    assert [reply.system_fingerprint.rpartition("-")[2] for reply in said] == ["llama.cpp", "torch"]
    stream = llama.client.chat.completions.create(  # type: ignore[call-overload]
        model="fledgling", messages=CHAT, stream=True, **way
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == texts[0]


def test_a_client_that_leaves_frees_its_slot(llama: Running) -> None:
    for _ in range(llama.service.params.slots + 1):
        stream = llama.client.completions.create(model="fledgling", prompt="One day", max_tokens=90, stream=True)
        next(iter(stream))
        stream.close()
    llama.idle()
    assert llama.ask(max_tokens=2).status_code == 200


def test_other_numbers_are_another_engine(model_folder: Path) -> None:
    with running(str(model_folder), engine="llama.cpp", llama_cpp={"numbers": "q8_0"}, slots=1) as made:
        reply = made.ask(temperature=0, max_tokens=5).json()
        assert reply["system_fingerprint"].endswith("-llama.cpp-q8_0")
        assert 'engine="llama.cpp-q8_0"' in made.http.get("/metrics").text
