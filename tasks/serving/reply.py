"""A reply that was served, as it is recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Share = Literal["champion", "candidate"]
Kind = Literal["chat", "completion"]
Finish = Literal["stop", "length", "content_filter", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What was asked, what was said, by which model and how.

    id: the OpenAI id, such as "chatcmpl-" and 24 hex digits. version: "3", or the name of a folder. settings: the
    sampling parameters in use, defaults filled in. messages: of a completion one of the role "user", its prompt.
    guard: what the guard did and why, None where it had nothing to say.
    """

    id: str
    created_at: datetime
    version: str
    model_md5: str
    share: Share
    conversation: str | None
    kind: Kind
    messages: tuple[Mapping[str, str], ...]
    settings: Mapping[str, object]
    reply: str
    finish_reason: Finish
    prompt_tokens: int
    completion_tokens: int
    latency_ms: float
    first_token_ms: float | None  # None: nothing was said
    guard: str | None
    seed: int
