"""A small rubric, answers of known worth, and a judge behind the server of the tests."""

import json
from pathlib import Path
from typing import Any

from tasks.judging.endpoint import EndpointJudge, EndpointJudgeParams, open_endpoint_judge
from tasks.judging.records import Item, Pair
from tasks.judging.rubric import Rubric

VERDICTS, STATE = Path("verdicts"), Path("var/judging")
REPLIES = STATE / "endpoint.jsonl"
LEVELS = {level: f"Level {level}." for level in range(1, 6)}
RUBRIC = Rubric.model_validate(
    {
        "story": {
            "grammar": {"asks": "Are the sentences correct?", "levels": LEVELS},
            "creativity": {"asks": "Is it new?", "levels": LEVELS, "needs": {"grammar": 3}},
        },
        "task": {"quality": {"asks": "Is it well written?", "levels": LEVELS}},
    }
)
KEY = "sk-very-secret-123"


def section(address: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "name": "endpoint", "address": address, "model": "judge-1", "key_variable": "JUDGE_KEY", "temperature": 0.0,
        "max_tokens": 600, "body": {}, "text_characters": 2_000, "repairs": 2, "rank_orders": 2, "requests_at_once": 4,
        "max_retries": 1, "timeout_s": 20.0, "budget_calls": None, "budget_tokens": None,
        "price_per_million_prompt_tokens": None, "price_per_million_reply_tokens": None,
        **changes,
    }  # fmt: skip


def judge(address: str | None, **changes: Any) -> EndpointJudge:
    params = EndpointJudgeParams.model_validate(section(address, **changes))
    return open_endpoint_judge(params, verdicts=VERDICTS, state=STATE)


def item(answer: str, *, prompt: str = "Write a story.", kind: str = "story", **fields: Any) -> Item:
    return Item(prompt_id=prompt, kind=kind, prompt=prompt, answer=answer, by="somebody", **fields)


def worth(goods: int, *, name: str = "") -> Item:
    """An answer that the server finds so good, 0 to 4."""
    return item(" ".join([name or "Tale", *["good"] * goods]))


def pair(first: int, second: int, *, name: str = "") -> Pair:
    return Pair(first=worth(first, name=f"{name} one"), second=worth(second, name=f"{name} two"))


def kept() -> list[dict[str, Any]]:
    return [json.loads(line) for line in REPLIES.read_text().splitlines()]


ITEMS = [worth(goods, name=f"tale {goods} {at}") for at in range(3) for goods in range(4)]
