"""Who is asked to judge, how, and what it may cost."""

import os
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from tasks.endpoint import checked_address
from tasks.stage import Params

VARIABLES = {"address": "FLEDGLING_JUDGE_ADDRESS", "model": "FLEDGLING_JUDGE_MODEL"}  # where params.yaml says none


class EndpointJudgeParams(Params):
    """The section calibrate.endpoint. The key is never a parameter: it comes from the variable that is named."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")  # of the judge, and of its files
    address: str | None  # up to and with /v1; none here and in the environment: kept verdicts are replayed
    model: str  # may be empty where no server is asked: that of the kept verdicts
    key_variable: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    temperature: float | None = Field(ge=0, le=2)  # null: not sent
    max_tokens: int | None = Field(ge=1)  # of a reply; null: not sent
    body: Mapping[str, Any]  # more fields of each request, by the names in the server's manual
    text_characters: int = Field(ge=200)  # of a text that is shown; the rest is cut, with a note
    repairs: int = Field(ge=0, le=5)  # how often a reply that can't be used is asked for again
    rank_orders: int = Field(ge=1, le=8)  # in which the answers of a ranking are shown
    requests_at_once: int = Field(ge=1, le=256)
    max_retries: int = Field(ge=0)  # of a request that the server failed, with growing pauses
    timeout_s: float = Field(gt=0)
    budget_calls: int | None = Field(ge=0)  # of a run; null: no limit
    budget_tokens: int | None = Field(ge=0)  # of a run, prompts and replies
    price_per_million_prompt_tokens: float | None = Field(ge=0)
    price_per_million_reply_tokens: float | None = Field(ge=0)

    @model_validator(mode="before")
    @classmethod
    def _from_the_environment(cls, values: Any) -> Any:
        """Not by `${NAME}` in params.yaml: `dvc exp run -S` reads that as an interpolation of its own, and stops."""
        if not isinstance(values, Mapping):
            return values
        found = {key: values.get(key) or os.environ.get(name, "") for key, name in VARIABLES.items()}
        return {**values, **found}

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        return checked_address(address) if address else None

    @field_validator("body")
    @classmethod
    def _leaves_the_rest_alone(cls, body: Mapping[str, Any]) -> Mapping[str, Any]:
        taken = {"messages", "model", "temperature", "max_tokens", "response_format", "stream", "n"}
        if wrong := taken & set(body):
            raise ValueError(f"'{min(wrong)}' is not for body; it has a parameter of its own, or can't be changed")
        return body

    @model_validator(mode="after")
    def _names_a_model(self) -> "EndpointJudgeParams":
        if self.address and not self.model:
            raise ValueError("an endpoint without a model; set calibrate.endpoint.model, or FLEDGLING_JUDGE_MODEL")
        return self
