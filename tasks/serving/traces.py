"""A share of the served replies as traces of MLflow, sent by a thread of its own; MLflow that is down stops nothing."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from tasks.registry import store
from tasks.registry.traces import TracedAnswer, answer_trace
from tasks.reviews.cards import draw
from tasks.reviews.served import judged
from tasks.serving.reply import Reply

log = logging.getLogger(__name__)

QUEUED = 100  # replies that may wait; one more has no trace
LEFT_ALONE_S = 60.0  # MLflow, after it failed
CLOSING_S = 15.0


class Tracer:
    """Sends what is drawn: a reply is traced or not by its id alone. share: 0 to 1 of the replies."""

    def __init__(self, share: float) -> None:
        self.sent = 0
        self._share = share
        self._waiting: queue.Queue[Reply | None] = queue.Queue(QUEUED)
        self._rests_until = 0.0
        self._was_told = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def send(self, reply: Reply) -> None:
        """Has a reply traced, if it is drawn; returns at once."""
        if draw("trace", reply.id) < self._share:
            with suppress(queue.Full):
                self._waiting.put_nowait(reply)

    def close(self) -> None:
        """Sends what waits, for some seconds at most."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=CLOSING_S)
        self._thread.join(CLOSING_S)

    def _run(self) -> None:
        self._try(store.connect)  # loading MLflow takes seconds: while the model is loaded, not during a reply
        while (reply := self._waiting.get()) is not None:
            if time.monotonic() >= self._rests_until and self._try(partial(trace, reply)):
                self.sent += 1
        if self.sent:
            import mlflow

            mlflow.flush_trace_async_logging()

    def _try(self, work: Callable[[], object]) -> bool:
        """Whether it went well; else MLflow is left alone for a while, and the first time it is told."""
        try:
            work()
        except Exception as error:  # whatever befalls MLflow, replies are served
            self._rests_until = time.monotonic() + LEFT_ALONE_S
            if not self._was_told:
                line = (str(error).splitlines() or [type(error).__name__])[0]
                log.warning("MLflow at %s: %s; replies are served without traces", store.tracking_uri(), line)
            self._was_told = True
            return False
        return True


def trace(reply: Reply) -> None:
    """Sends the trace of a reply: what was asked and said, its settings and times, `reply` and `item` among its tags.

    What reviewers say of it later comes beside it (tasks.registry.feedback). Raises what MLflow raises, and
    RuntimeError where it traces nothing: it tells no one of a span that it could not begin.
    """
    client = store.connect()
    import mlflow
    from mlflow.entities.span import NO_OP_SPAN_TRACE_ID

    answer = judged(reply)
    told = TracedAnswer(
        item=answer.id, prompt_id=answer.prompt_id, kind=answer.kind, prompt=answer.prompt, answer=answer.answer,
        by="served", model_version=reply.version, decoding=_attributes(reply),
    )  # fmt: skip
    with answer_trace(told, experiment=store.experiment_id(client)) as begun:
        if begun == NO_OP_SPAN_TRACE_ID:
            raise RuntimeError("it begins no trace (MLFLOW_LOGGING_LEVEL=DEBUG says why)")
        mlflow.update_current_trace(tags={"reply": reply.id, "share": reply.share})


def _attributes(reply: Reply) -> dict[str, object]:
    timed = {"latency_ms": reply.latency_ms, "first_token_ms": reply.first_token_ms}
    counted = {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens}
    how = {
        "seed": reply.seed,
        "finish_reason": reply.finish_reason,
        "guard": reply.guard,
        "messages": len(reply.messages),
    }
    told = {**reply.settings, **counted, **timed, **how}
    return {key: value for key, value in told.items() if value is not None}
