"""Answers as traces of MLflow: what they were asked and said, and what they are found by. Opinions come beside them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Trace

PREVIEW = 500  # characters of a prompt and of an answer in the list of traces


@dataclass(frozen=True, kw_only=True)
class TracedAnswer:
    """What a trace says of an answer. item: the id that judges know it by."""

    item: str
    prompt_id: str
    kind: str
    prompt: str
    answer: str
    by: str
    model_version: str
    decoding: Mapping[str, Any]


@contextmanager
def answer_trace(told: TracedAnswer, *, experiment: str, run_id: str | None = None) -> Iterator[str]:
    """A trace while it is made, by its id: feedback given now MLflow stores together with it, or nothing at all.

    run_id: the run that the answer is of, where there is one.
    """
    import mlflow
    from mlflow.entities import SpanType
    from mlflow.entities.trace_location import MlflowExperimentLocation

    where = MlflowExperimentLocation(experiment)
    with mlflow.start_span(f"{told.by}: {told.kind}", span_type=SpanType.LLM, trace_destination=where) as span:
        span.set_inputs({"prompt": told.prompt})
        span.set_outputs(told.answer)
        span.set_attributes(dict(told.decoding))
        mlflow.update_current_trace(
            tags={
                "item": told.item,
                "prompt_id": told.prompt_id,
                "kind": told.kind,
                "model_version": told.model_version,
            },
            metadata={"mlflow.sourceRun": run_id} if run_id else None,
            request_preview=told.prompt[:PREVIEW],
            response_preview=told.answer[:PREVIEW],
        )
        yield span.trace_id


def find_traces(client: "MlflowClient", experiment: str, *, tag: str, value: str, most: int) -> Sequence["Trace"]:
    """The newest traces of answers that carry a tag, without their spans."""
    found: Sequence[Trace] = client.search_traces(
        locations=[experiment], filter_string=f"tags.{tag} = '{value}'", include_spans=False, max_results=most
    )
    return found
