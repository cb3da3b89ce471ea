"""The guard over HTTP: what of an unsafe prompt or reply a client gets, whole and streamed, and what is counted."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.serving.guard import REFUSAL
from tests.apps.serve.running import CHAT, Running
from tests.apps.serve.saying import WAITS, Said, saying

SAFE = "The duck swam to the boat. It was a sunny day."
UNSAFE = "The man took a gun and laughed."
REFUSED = (REFUSAL, "content_filter")
COUNTED = "fledgling_guard_total"


def counts(server: Running) -> dict[str, int]:
    """What the guard did, by /metrics."""
    lines = [line for line in server.http.get("/metrics").text.splitlines() if line.startswith(COUNTED)]
    told = (line.removeprefix(COUNTED).rpartition(" ") for line in lines)
    return {labels: int(float(count)) for labels, _, count in told}


@contextlib.contextmanager
def counting(server: Running, **outcomes: int) -> Iterator[None]:
    """What is done meanwhile is counted as this, by outcome, and as nothing else."""
    before = counts(server)
    yield
    more = {labels: count - before.get(labels, 0) for labels, count in counts(server).items()}
    wanted = {f'{{category="weapons",outcome="{outcome}"}}': count for outcome, count in outcomes.items()}
    assert {labels: count for labels, count in more.items() if count} == wanted


def guard(**changes: Any) -> dict[str, Any]:
    return {"prompts": "refuse", "replies": "retry", "retries": 2, **changes}


@pytest.fixture(scope="module")
def retrying(model_folder: Path) -> Iterator[Said]:
    with saying(model_folder, guard=guard()) as made:
        yield made


def got(answer: httpx.Response) -> tuple[str, str]:
    """What the client read, and why it ended; all that came is looked through, not the text alone."""
    assert "gun" not in answer.raise_for_status().text
    if not answer.headers["content-type"].startswith("text/event-stream"):
        (choice,) = answer.json()["choices"]
        return choice.get("text") or choice["message"]["content"], choice["finish_reason"]
    *events, done, _ = answer.text.split("\n\n")
    assert done == "data: [DONE]"
    choices = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events]
    pieces = [choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices]
    return "".join(pieces), choices[-1]["finish_reason"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("texts", "expected", "counts"),
    [
        pytest.param([SAFE], (SAFE, "stop"), {}, id="safe"),
        pytest.param([UNSAFE, SAFE], (SAFE, "stop"), {"reply_retried": 1}, id="drawn again"),
        pytest.param([UNSAFE] * 3, REFUSED, {"reply_retried": 2, "reply_refused": 1}, id="all unsafe"),
    ],
)
def test_an_unsafe_reply_is_drawn_again_and_refused_in_the_end(
    retrying: Said, streamed: bool, texts: list[str], expected: tuple[str, str], counts: dict[str, int]
) -> None:
    for path, body in (("/v1/chat/completions", {"messages": CHAT}), ("/v1/completions", {"prompt": "One day"})):
        retrying.says(*texts)
        with counting(retrying.server, **counts):
            assert got(retrying.server.post(path, stream=streamed, seed=3, **body)) == expected
    ended = f'fledgling_requests_total{{ended="{expected[1]}",kind="completion"'
    assert ended in retrying.server.http.get("/metrics").text


def test_it_is_refused_at_once_where_the_parameter_says_so(model_folder: Path) -> None:
    with saying(model_folder, guard=guard(replies="refuse")) as made:
        for streamed in (False, True):
            made.says(UNSAFE)
            with counting(made.server, reply_refused=1):
                assert got(made.server.ask(stream=streamed)) == REFUSED


def test_what_is_off_is_not_read(model_folder: Path) -> None:
    with saying(model_folder, guard=guard(prompts="off", replies="off")) as made, counting(made.server):
        made.says(UNSAFE)
        answer = made.server.ask(messages=[{"role": "user", "content": UNSAFE}])
        assert answer.json()["choices"][0]["message"]["content"] == UNSAFE


def test_an_unsafe_sentence_after_safe_ones_that_nobody_saw_is_drawn_again_whole(retrying: Said) -> None:
    retrying.says(f"{SAFE} {UNSAFE}", SAFE)
    with counting(retrying.server, reply_retried=1):
        assert got(retrying.server.ask()) == (SAFE, "stop")


def test_a_stream_ends_before_its_first_unsafe_sentence(retrying: Said) -> None:
    retrying.says(f"{SAFE} {UNSAFE} They went home.")
    (ids,) = retrying.engine.texts
    ids.insert(len(ids) // 2, WAITS)
    body = {"model": "fledgling", "messages": CHAT, "stream": True}
    with counting(retrying.server, reply_refused=1):
        with retrying.server.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            events = answer.iter_text()
            came = next(event for event in events if "boat" in event)
            retrying.engine.goes_on.set()  # something has left: it can't be drawn again
            came += "".join(events)
        assert "gun" not in came
        assert "laughed" not in came
        assert '"finish_reason": "content_filter"' in came
        assert came.endswith("data: [DONE]\n\n")
    retrying.server.idle()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_an_unsafe_prompt_is_refused_whatever_part_of_it_is_unsafe(retrying: Said, streamed: bool) -> None:
    hello = {"role": "user", "content": "Hello."}
    bodies: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": UNSAFE}]},
        {"messages": [{"role": "system", "content": UNSAFE}, hello]},
        {"messages": [hello, {"role": "assistant", "content": UNSAFE}, hello]},
        {"messages": [hello], "labels": ["a duck", UNSAFE]},
    ]
    asked = retrying.server.live.loop.figures.tokens
    with counting(retrying.server, prompt_refused=5):
        for body in bodies:
            assert got(retrying.server.ask(stream=streamed, **body)) == REFUSED
        assert got(retrying.server.post("/v1/completions", prompt=UNSAFE, stream=streamed)) == REFUSED
    assert retrying.server.live.loop.figures.tokens == asked, "no model was asked"
