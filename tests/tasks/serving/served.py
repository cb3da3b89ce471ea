"""Replies as the server makes them."""

from datetime import UTC, datetime
from typing import Any

from tasks.serving.reply import Reply

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
QUESTION = "Tell me a story about a red boat and a kind duck."
ANSWER = "Once upon a time there was a red boat. A kind duck sat in it and sang. They went home happy."


def reply(number: int = 1, *, asked: str = QUESTION, said: str = ANSWER, **changes: Any) -> Reply:
    values: dict[str, Any] = {
        "id": f"chatcmpl-{number:024x}", "created_at": NOW, "version": "3", "model_md5": "0" * 32,
        "share": "champion", "conversation": None, "kind": "chat",
        "messages": ({"role": "user", "content": asked},), "settings": {"temperature": 0.7, "max_tokens": 80},
        "reply": said, "finish_reason": "stop", "prompt_tokens": 12, "completion_tokens": 20, "latency_ms": 123.5,
        "first_token_ms": 10.25, "guard": None, "seed": 2**62,
    }  # fmt: skip
    return Reply(**{**values, **changes})
