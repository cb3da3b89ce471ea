"""Talking with a server that speaks OpenAI's API."""

import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from fledgling import logins
from fledgling.chat.talk import Manner, Refused
from tasks.stage import UserError

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletionMessageParam


@contextmanager
def remote(server: str, model: str | None, manner: Manner) -> "Iterator[Remote]":
    """A server's model, its first where none is named. Raises UserError where it can't be reached, or knows it not."""
    from openai import OpenAI, OpenAIError

    key = logins.key_of(server)
    address = server.rstrip("/").removesuffix("/v1")
    if not address.startswith(("http://", "https://")):
        raise UserError(f"--server {server}: allowed: an address such as http://127.0.0.1:8200")
    with OpenAI(base_url=f"{address}/v1", api_key=key or "none", max_retries=1) as client:
        try:
            names = [found.id for found in client.models.list()]
        except (OpenAIError, ValueError) as error:
            raise UserError(f"{address}: {told(error)}") from None
        if not names or (model is not None and model not in names):
            raise UserError(f"{address} serves no {model or 'model'}; allowed: {', '.join(names) or 'nothing'}")
        yield Remote(client, model or names[0], manner)


class Remote:
    """See `fledgling.chat.talk.Speaker`."""

    def __init__(self, client: "OpenAI", model: str, manner: Manner) -> None:
        self.name = model
        self._client, self._manner = client, manner
        self._conversation = {"X-Conversation-Id": secrets.token_hex(8)}

    def reply(self, messages: list[dict[str, str]], *, again: int) -> Generator[str]:
        from openai import OpenAIError

        manner, said = self._manner, cast("list[ChatCompletionMessageParam]", messages)
        try:
            with self._client.chat.completions.create(
                model=self.name, messages=said, stream=True, temperature=manner.temperature,
                max_tokens=manner.max_tokens, seed=manner.seed_of(again), extra_headers=self._conversation,
            ) as stream:  # fmt: skip
                for chunk in stream:
                    if chunk.choices and chunk.choices[0].delta.content:
                        yield chunk.choices[0].delta.content
        except OpenAIError as error:
            raise Refused(told(error)) from None


def told(error: Exception) -> str:
    """A client's error in one line: the server's own words where it said some."""
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    return str(said or error).splitlines()[0]
