"""Questions to a judge's model: every reply kept, what can't be used asked for again, the cost counted."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.endpoint import Budget, Endpoint, Replies, Reply, Request
from tasks.judging.endpoint import prompts, replies
from tasks.judging.endpoint.outcomes import Outcome, outcome_of
from tasks.judging.endpoint.params import EndpointJudgeParams
from tasks.judging.endpoint.prompts import Messages

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A first request and the shape of its reply. shown: the ids of the answers, in their order in the prompt."""

    kind: Literal["score", "compare", "rank"]
    messages: Messages
    shape: replies.Shape
    rubric: str
    shown: tuple[str, ...]


class Asking:
    """The questions of one run. judge: its id, part of every request's name.

    kept: files of replies that are only read; state: the file where new ones are added. Without an address nobody is
    asked, and what was never replied is `unsupported`.
    """

    def __init__(self, params: EndpointJudgeParams, *, judge: str, kept: Sequence[Path], state: Path) -> None:
        self._params = params
        self._judge = judge
        self._replies = Replies(state, kept=kept)
        self._endpoint = _endpoint(params, self._replies) if params.address else None
        self._wanted: set[str] = set()  # hashes of all requests
        self._cached: set[str] = set()  # of those that were replied to before this run
        self._unanswered: set[str] = set()  # of those that nobody was there for

    def close(self) -> None:
        """Closes connections and files, and says what the run has cost."""
        if self._endpoint is not None:
            self._endpoint.__exit__()
        self._replies.close()
        self._tell()

    def ask(self, questions: Sequence[Question], *, repeat: int) -> list[Outcome]:
        """An outcome for each question. A round asks all that is still open at once.

        Raises UserError where the server gives up or the budget is used up; the replies that came are kept.
        """
        outcomes: dict[int, Outcome] = {}
        talks = {at: question.messages for at, question in enumerate(questions)}
        for _ in range(self._params.repairs + 1):
            said = self._said([self._request(questions[at], talk, repeat) for at, talk in talks.items()])
            again = {}
            for (at, talk), reply in zip(talks.items(), said, strict=True):
                try:
                    outcomes[at] = outcome_of(reply, questions[at].shape)
                except replies.Mistake as mistake:
                    outcomes[at] = Outcome(status="parse_error", reason=f"The reply can't be used: {mistake}.")
                    again[at] = prompts.repaired(talk, said=reply.text if reply else "", mistake=str(mistake))
            talks = again
        return [outcomes[at] for at in range(len(questions))]

    def cost(self) -> dict[str, float | None]:
        """What the run has cost so far.

        calls: replies that came from the server; tokens of those; seconds of waiting for them; cached_share: of all
        requests, those whose reply was known; price: in the currency of the parameters, None without prices.
        """
        asked = self._endpoint
        calls = asked.asked if asked else 0
        prompt_tokens, reply_tokens = (asked.prompt_tokens, asked.reply_tokens) if asked else (0, 0)
        return {
            "calls": calls,
            "prompt_tokens": prompt_tokens,
            "reply_tokens": reply_tokens,
            "seconds": round(asked.seconds, 3) if asked else 0.0,
            "cached_share": len(self._cached) / len(self._wanted) if self._wanted else 0.0,
            "price": self._price(prompt_tokens, reply_tokens),
        }

    def _request(self, question: Question, messages: Messages, repeat: int) -> Request:
        params = self._params
        return Request(
            endpoint=None,  # the same model is the same judge wherever it runs
            model=params.model,
            messages=messages,
            temperature=params.temperature,
            max_tokens=params.max_tokens,
            n=repeat,
            about={
                "judge": self._judge,
                "rubric": question.rubric,
                "kind": question.kind,
                "shown": list(question.shown),
                "turn": len(messages) // 2,  # 1: the question, 2: the first repair
            },
            body=params.body,
            schema=replies.schema(question.shape, name=question.kind),
        )

    def _said(self, requests: Sequence[Request]) -> list[Reply | None]:
        """The replies; None for those that are unknown where there is nobody to ask."""
        found = [self._replies.find(request) for request in requests]
        known = {request.hash for request, reply in zip(requests, found, strict=True) if reply is not None}
        new = {request.hash for request in requests} - known
        self._cached |= known - self._wanted
        self._wanted |= known | new
        if self._endpoint is not None:
            return list(self._endpoint.ask(requests))
        self._unanswered |= new
        return found

    def _price(self, prompt_tokens: int, reply_tokens: int) -> float | None:
        prices = self._params.price_per_million_prompt_tokens, self._params.price_per_million_reply_tokens
        if prices[0] is None or prices[1] is None:
            return None
        return (prompt_tokens * prices[0] + reply_tokens * prices[1]) / 1e6

    def _tell(self) -> None:
        if not self._wanted:
            return
        cost = self.cost()
        price = "" if cost["price"] is None else f", price {cost['price']:.4f}"
        log.info(
            "judge %s: %d calls, %d tokens of prompts and %d of replies, %.1f s; %d of %d questions had a kept reply%s",
            self._judge, cost["calls"], cost["prompt_tokens"], cost["reply_tokens"], cost["seconds"],
            len(self._cached), len(self._wanted), price,
        )  # fmt: skip
        if self._unanswered:
            log.warning(
                "judge %s: %d of %d questions have no kept reply, and there is nobody to ask "
                "(FLEDGLING_JUDGE_ADDRESS, calibrate.endpoint.address): they are not judged",
                self._judge, len(self._unanswered), len(self._wanted),
            )  # fmt: skip


def _endpoint(params: EndpointJudgeParams, kept: Replies) -> Endpoint:
    return Endpoint(
        str(params.address),
        replies=kept,
        key_variable=params.key_variable,
        at_once=params.requests_at_once,
        max_retries=params.max_retries,
        timeout_s=params.timeout_s,
        budget=Budget(calls=params.budget_calls, tokens=params.budget_tokens),
        keeps_rejections=True,
    )
