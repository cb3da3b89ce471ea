"""What a request may hold. Anything else of OpenAI's API is refused by name."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.serving.answering import Wish
from tasks.serving.sampling import MOST_STOPS, SEEDS, Sampling, Stop, Text

Name = Annotated[Text, Field(min_length=1, max_length=200)]
Label = Annotated[Text, Field(min_length=1, max_length=200)]


class Body(BaseModel):
    """Base of what is sent: nothing unknown, no type guessed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Message(Body):
    """One turn of a conversation; its content is text, whatever special tokens it spells."""

    role: Literal["system", "user", "assistant"]
    content: Text


class StreamOptions(Body):
    """include_usage: one more event at the end, with the numbers of tokens."""

    include_usage: bool = False


class Sampled(Body):
    """What chats and completions have in common; null is as if it were not there."""

    model: Name
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0, le=1_000_000)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = None
    seed: int | None = Field(default=None, ge=-SEEDS, lt=SEEDS)
    max_tokens: int | None = Field(default=None, ge=1)
    n: Literal[1] | None = None
    user: Name | None = None  # the conversation, where no X-Conversation-Id names it

    @model_validator(mode="after")
    def _options_are_of_a_stream(self) -> "Sampled":
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is for stream: true")
        return self

    @property
    def sampling(self) -> Sampling:
        names = ("temperature", "top_p", "top_k", "repetition_penalty", "seed")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(**given, max_tokens=self.most, stop=tuple(stops))

    @property
    def most(self) -> int | None:
        """The reply's tokens at most."""
        return self.max_tokens

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(Sampled):
    """labels: the reply is the likeliest of these; the sampling parameters are not looked at then."""

    messages: list[Message] = Field(min_length=1, max_length=1_000)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    labels: list[Label] | None = Field(default=None, min_length=2, max_length=64)

    @model_validator(mode="after")
    def _is_clear(self) -> "ChatRequest":
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens are two names of one number; give one")
        if self.labels is not None and len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: each must be another one")
        return self

    @property
    def most(self) -> int | None:
        return self.max_completion_tokens if self.max_tokens is None else self.max_tokens

    def wish(self, conversation: str | None) -> Wish:
        """What is asked of a model."""
        return Wish(
            kind="chat",
            messages=tuple({"role": each.role, "content": each.content} for each in self.messages),
            sampling=self.sampling,
            conversation=conversation or self.user,
            labels=tuple(self.labels or ()),
            streamed=bool(self.stream),
        )


class CompletionRequest(Sampled):
    """prompt: the text to go on from."""

    prompt: Text

    def wish(self, conversation: str | None) -> Wish:
        """What is asked of a model."""
        return Wish(
            kind="completion",
            messages=({"role": "user", "content": self.prompt},),
            sampling=self.sampling,
            conversation=conversation or self.user,
            streamed=bool(self.stream),
        )
