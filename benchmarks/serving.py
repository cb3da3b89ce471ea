"""What the way through HTTP costs, how long a first word takes under load, and whether memory stays flat.

`python -m benchmarks.serving [ROW ...]` measures these rows alone; with a model folder as ROW: that model.
"""

import math
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.generation import engine_tokens_of, rate, threads
from benchmarks.reading_client import Asked, Read, read_all
from benchmarks.row import Row
from benchmarks.served_model import Server, serving, write_model

if TYPE_CHECKING:
    from model.engine import Continuation

ROUNDS = 5
STREAMS = 16
STREAM_TOKENS = 128
PER_S = 8.0
UNDER_LOAD = 160  # requests of a round: 20 s
LOAD_ROUNDS = 3
REPLY_TOKENS = 64
STORIES = 50  # whose beginnings are asked
WORDS = (8, 48)  # of a prompt
MOST_MS = 500.0
REQUESTS = 1_000
FIRST_REQUESTS = 100
LEAVES = 10  # every tenth goes away
UNGUARDED: Mapping[str, Any] = {"guard": {"prompts": "off", "replies": "off"}}


def serve_http_share_of_engine(given: Path | None = None) -> Row:
    """Tokens/s through HTTP, 16 streams at once, beside the engine's own rate with the same 16 continuations.

    6 million parameters, float32, greedy, replies of 128 tokens to prompts of 8 to 48 words; the guard is off, so that
    each token is an event of its own. Medians of rounds that take turns; the client is a process on the same machine.
    """
    return _share("serve_http_share_of_engine", UNGUARDED, given)


def serve_guarded_share_of_engine(given: Path | None = None) -> Row:
    """The same by params.yaml: the guard reads prompts and replies, which leave sentence by sentence."""
    return _share("serve_guarded_share_of_engine", {}, given)


def serve_first_token_p95(given: Path | None = None) -> Row:
    """Milliseconds that 95 % of the requests wait at most for their first token, at 8 requests/s.

    Arrivals are Poisson's, whoever else is being answered; replies of 64 tokens at temperature .7 to prompts of 8 to 48
    words; from before connecting. Median of three rounds of 160 requests, the guard off; the note has the first
    sentence, which is what leaves first where the guard reads replies.
    """
    with _folder(given) as folder:
        with serving(folder, **UNGUARDED) as server:
            times = [_first_ms(server, seed) for seed in range(LOAD_ROUNDS)]
        with serving(folder) as server:
            guarded = _first_ms(server, 0)
    halves, most = (round(statistics.median(_percentile(one, share) for one in times), 1) for share in (0.5, 0.95))
    sentence = f"{_percentile(guarded, 0.5):.1f}, p95 {_percentile(guarded, 0.95):.1f}"
    return Row(
        name="serve_first_token_p95",
        unit="ms",
        value=most,
        peer="half a second",
        peer_value=MOST_MS,
        bar=1.0,
        lower_is_better=True,
        note=f"p50 {halves} ms; first sentence, the guard on: p50 {sentence} ms",
    )


def serve_memory_1000_requests(given: Path | None = None) -> Row:
    """MiB of the server after 1,000 requests beside those after 100, 16 at once; each tenth client leaves mid-stream.

    It goes at its first word. Afterwards no slot is taken, nothing waits, and every slot answers. The guard is off.
    """
    with _folder(given) as folder, serving(folder, **UNGUARDED) as server:
        asked = [
            _asked(at, temperature=0.7, max_tokens=REPLY_TOKENS, leaves=at % LEAVES == 0) for at in range(REQUESTS)
        ]
        read = read_all(server.port, asked[:FIRST_REQUESTS], at_once=STREAMS)
        before = _idle_mib(server)
        read += read_all(server.port, asked[FIRST_REQUESTS:], at_once=STREAMS)
        after = _idle_mib(server)
        slots = _assert_free(server)
    left = sum(not one.is_whole for one in read)
    return Row(
        name="serve_memory_1000_requests",
        unit="MiB",
        value=round(after, 1),
        peer=f"after {FIRST_REQUESTS}",
        peer_value=round(before, 1),
        bar=0.95,
        lower_is_better=True,
        note=f"{left} of {len(read)} clients left mid-stream; {slots} of {slots} slots free",
    )


def _share(name: str, changes: Mapping[str, Any], given: Path | None) -> Row:
    from model.checkpoint import load_model
    from model.torch_engine import TorchEngine

    alone_per_s, through_per_s = [], []
    with _folder(given) as folder, threads(), serving(folder, **changes) as server:
        asked = _never_refused(server)
        wanted = list(_continuations(folder, asked))
        engine = TorchEngine(load_model(folder), slots=int(server.figures()["fledgling_slots"]))
        for _ in range(ROUNDS + 1):  # the first warms up
            alone_per_s.append(rate(lambda: engine_tokens_of(engine, wanted)))
            read = _answered(read_all(server.port, asked))
            through_per_s.append(_tokens_per_s(read))
        assert sum(one.tokens for one in read) == engine_tokens_of(engine, wanted), "not the same texts"
    tokens, events = (sum(getattr(one, what) for one in read) for what in ("tokens", "events"))
    return Row(
        name=name,
        unit="tokens/s",
        value=round(statistics.median(through_per_s[1:]), 1),
        peer="the engine alone",
        peer_value=round(statistics.median(alone_per_s[1:]), 1),
        bar=0.7,
        lower_is_better=False,
        note=f"{tokens} tokens in {events} events",
    )


def _never_refused(server: Server) -> list[Asked]:
    """STREAMS requests whose replies the guard lets pass: it reads random words, and would have others drawn again."""
    asked = [_asked(at, temperature=0.0, max_tokens=STREAM_TOKENS) for at in range(2 * STREAMS)]
    read = _answered(read_all(server.port, asked))
    return [one for one, got in zip(asked, read, strict=True) if got.tokens][:STREAMS]


def _continuations(folder: Path, asked: Sequence[Asked]) -> "Iterator[Continuation]":
    """What the server makes of the requests."""
    from model.engine import Continuation
    from model.generation import Decoding
    from tasks.chat import END_OF_TURN, encode_chat
    from tasks.tokenizer_kinds import load_tokenizer

    codec = load_tokenizer(folder / "tokenizer.json")
    for one in asked:
        decoding = Decoding(max_tokens=one.body["max_tokens"], temperature=one.body["temperature"])
        ids = encode_chat(codec, one.body["messages"], ask=True).ids
        yield Continuation(
            prompt=tuple(ids), decoding=decoding, seed=one.body["seed"], stop=frozenset({END_OF_TURN})
        )  # fmt: skip


def _first_ms(server: Server, seed: int) -> list[float]:
    """Until the first text of each request, in ms, under load."""
    chance, at_s, asked = random.Random(seed), 0.0, []  # noqa: S311
    for number in range(UNDER_LOAD):
        asked.append(_asked(number, temperature=0.7, max_tokens=REPLY_TOKENS, at_s=at_s))
        at_s += chance.expovariate(PER_S)
    read_all(server.port, asked[:STREAMS], at_once=1)  # warms up
    read = _answered(read_all(server.port, asked))
    return [1000 * (one.first_s - one.sent_s) for one in read if one.first_s is not None]


def _asked(number: int, *, temperature: float, max_tokens: int, at_s: float = 0.0, leaves: bool = False) -> Asked:
    """Request `number`, a stream: what a story begins with."""
    least, most = WORDS
    words = _story(number % STORIES)[: least + number * 7 % (most - least + 1)]
    body = {
        "model": "fledgling", "messages": [{"role": "user", "content": " ".join(words)}], "temperature": temperature,
        "max_tokens": max_tokens, "seed": number, "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    return Asked(body=body, at_s=at_s, leaves=leaves)


@cache
def _story(number: int) -> list[str]:
    from tasks.storybook.generator.tell import one_story

    return one_story(seed=1, index=number).text.split()


def _answered(read: Sequence[Read]) -> Sequence[Read]:
    assert all(one.status == 200 and one.is_whole for one in read), [one.status for one in read]
    return read


def _tokens_per_s(read: Sequence[Read]) -> float:
    return sum(one.tokens for one in read) / (max(one.ended_s for one in read) - min(one.sent_s for one in read))


def _idle_mib(server: Server) -> float:
    """Its memory once nothing is being made."""
    server.wait_idle()
    return server.memory_mib


def _assert_free(server: Server) -> int:
    """Every slot answers, all at once; how many there are."""
    slots = int(server.figures()["fledgling_slots"])
    _answered(read_all(server.port, [_asked(at, temperature=0.0, max_tokens=REPLY_TOKENS) for at in range(slots)]))
    server.wait_idle()
    return slots


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """A model folder of one's own, else that of 6 million parameters."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder) / "model")
        yield Path(folder) / "model"


ROWS: Sequence[Callable[..., Row]] = (
    serve_http_share_of_engine,
    serve_guarded_share_of_engine,
    serve_first_token_p95,
    serve_memory_1000_requests,
)


if __name__ == "__main__":
    folders = [Path(name) for name in sys.argv[1:] if Path(name).is_dir()]
    for row in ROWS:
        if not set(sys.argv[1:]) - set(map(str, folders)) or row.__name__ in sys.argv[1:]:
            print(row(*folders), flush=True)
