"""The section `serve` of params.yaml. No stage reads it: what is served changes nothing that is made."""

from typing import Literal

from pydantic import Field

from tasks.exporting.gguf import Numbers
from tasks.stage import Params

EngineName = Literal["torch", "llama.cpp"]


class LlamaCppParams(Params):
    """Of the engine llama.cpp alone."""

    numbers: Numbers  # of the matrices; f32: the torch engine's text, f16 and q8_0: faster, and another text


class GuardParams(Params):
    """What becomes of a prompt, or of a reply, that the safety filter of `prepare` refuses."""

    prompts: Literal["refuse", "off"]
    replies: Literal["refuse", "retry", "off"]  # retry: the next seed's reply, refused where all are unsafe
    retries: int = Field(ge=1)


class RecordParams(Params):
    """Whether requests and replies are kept in the review database, and for how long."""

    keep: bool
    days: int = Field(ge=1)
    trace_share: float = Field(ge=0, le=1)  # of the replies: sent to MLflow as traces too


class DriftParams(Params):
    """What the scheduled flow looks at, and beyond which difference from the champion's answers it raises an alert."""

    hours: int = Field(ge=1)  # replies of so long are looked at
    min_replies: int = Field(ge=1)  # fewer say nothing
    judged: int = Field(ge=0)  # a sample of so many is scored by the accepting judge
    max_length_change: float = Field(gt=0)  # of the median words, as a share of the accepted
    max_new_words: float = Field(ge=0, le=1)  # share of words that the accepted answers do not hold
    max_distinct_change: float = Field(gt=0)  # of distinct-2, as a share of the accepted
    max_refusals: float = Field(ge=0, le=1)  # share of requests that the guard refused
    max_score_drop: float = Field(gt=0)  # of the judge's mean score


class ServeParams(Params):
    """How a model is served."""

    engine: EngineName
    llama_cpp: LlamaCppParams
    slots: int = Field(ge=1, le=1024)  # replies made at once
    queue: int = Field(ge=0)  # requests that may wait for a slot; more are told to come again (429)
    max_body_bytes: int = Field(ge=1024)
    max_tokens: int = Field(ge=1)  # of a reply whose request names no number
    stream_interval_s: float = Field(ge=0)  # so often what was made leaves; the first and last tokens do at once
    time_limit_s: float = Field(gt=0)  # from the request to the last token
    poll_s: float = Field(gt=0)  # so often the registry is asked who the champion and the candidate are
    candidate_share: float = Field(ge=0, le=1)  # of the conversations: served by the alias `candidate`
    guard: GuardParams
    record: RecordParams
    drift: DriftParams
