"""What the server tells Prometheus."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tasks.serving.answering import Answer
from tasks.serving.fleet import Fleet
from tasks.serving.guard import Guard
from tasks.serving.record import Record

FIRST_TOKEN_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REPLY_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Counts the requests; reads the loops and the guard when it is asked."""

    def __init__(self, fleet: Fleet, guard: Guard) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        self._requests = Counter(
            "fledgling_requests", "Requests by how they ended", ["kind", "version", "share", "ended"], registry=own
        )
        self._refused = Counter(
            "fledgling_refused", "Requests without a reply, by HTTP status", ["status"], registry=own
        )
        self._prompt_tokens = Counter("fledgling_prompt_tokens", "Tokens of prompts", ["version"], registry=own)
        self._tokens = Counter("fledgling_reply_tokens", "Tokens of replies", ["version"], registry=own)
        self._first = Histogram(
            "fledgling_first_token_seconds", "From the request to its first token", buckets=FIRST_TOKEN_S, registry=own
        )
        self._whole = Histogram("fledgling_reply_seconds", "From the request to its end", buckets=REPLY_S, registry=own)
        self.registry.register(_Now(fleet, guard))

    def replied(self, answer: Answer, *, ended: str, seconds: float) -> None:
        """A request that a model was asked for. ended: the finish reason, cancelled, timeout or error."""
        version = answer.live.served.told
        self._requests.labels(answer.wish.kind, version, answer.share, ended).inc()
        self._prompt_tokens.labels(version).inc(answer.prompt_tokens)
        self._tokens.labels(version).inc(answer.completion_tokens)
        self._whole.observe(seconds)
        if answer.first_token_s is not None:
            self._first.observe(answer.first_token_s)

    def refused(self, status: int) -> None:
        """A request that was answered by an error."""
        self._refused.labels(str(status)).inc()

    def text(self) -> bytes:
        """Prometheus's text format."""
        return generate_latest(self.registry)


class _Now(Collector):
    """What is true at this moment."""

    def __init__(self, fleet: Fleet, guard: Guard) -> None:
        self._fleet, self._guard = fleet, guard

    def collect(self) -> Iterator[Metric]:
        names = ["version", "share", "engine"]
        served = GaugeMetricFamily("fledgling_served", "The versions that are served", labels=names)
        slots = GaugeMetricFamily("fledgling_slots", "Replies that can be made at once", labels=["version"])
        live = GaugeMetricFamily("fledgling_slots_live", "Replies that are being made", labels=["version"])
        waiting = GaugeMetricFamily("fledgling_waiting", "Requests that wait for a slot", labels=["version"])
        for one, share in self._fleet.lives:
            figures, told = one.loop.figures, one.served.told
            served.add_metric([told, share, one.loop.engine_name], 1)
            slots.add_metric([told], figures.slots)
            live.add_metric([told], figures.live)
            waiting.add_metric([told], figures.waiting)
        reloads = CounterMetricFamily("fledgling_reloads", "Versions that made way for another")
        reloads.add_metric([], self._fleet.reloads)
        guarded = CounterMetricFamily("fledgling_guard", "What the guard did", labels=["outcome", "category"])
        for (outcome, category), count in self._guard.figures().items():
            guarded.add_metric([outcome, category], count)
        yield from (served, slots, live, waiting, reloads, guarded)


class Recorded(Collector):
    """What became of replies afterwards: recorded, lost, voted on, sent to review."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def collect(self) -> Iterator[Metric]:
        told = CounterMetricFamily("fledgling_record", "What became of replies afterwards", labels=["what"])
        for what, count in self._record.figures().items():
            told.add_metric([what], count)
        yield told
