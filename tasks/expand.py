"""The stage `expand`: seed tasks to new instructions, by a model behind an endpoint (self-instruct).

After Self-Instruct (arXiv:2212.10560) and Stanford Alpaca: a few seed tasks and a few of those already made
are shown to a model, which writes more; what is nearly there already is dropped.
"""

import json
import logging
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tasks import stage
from tasks.endpoint import Endpoint, Reply, Request, checked_address, json_objects
from tasks.json_lines import read_lines
from tasks.stage import Params, UserError

log = logging.getLogger(__name__)

REPLIES = stage.STATE / "expand" / "replies.jsonl"
ROUND = 8  # requests that are made up from the same pool of tasks, however many are sent at once
REJECTIONS = ("form", "length", "near_copy", "surplus")

PROMPT = """Here are tasks for {helper}, as JSON:

{examples}

Write {count} new tasks of this form for the same helper. Make them differ from these and from each other in what
is asked, in the words and in the form: questions, requests, things to write, things to change or to name. "input"
holds the text that the instruction speaks of, or is empty where it needs none. "output" is the helper's whole
answer, as good as the answers above. Reply with the JSON list of the {count} tasks and nothing else."""


class ExpandParams(Params):
    """Who is asked, how often, and what is kept of the replies."""

    endpoint: str | None  # address up to and with /v1; null or empty: the stage is skipped
    model: str = Field(min_length=1)
    api_key_variable: str = Field(min_length=1, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")  # the name, never the key
    helper: str = Field(min_length=1)  # whose tasks they are, as the prompt says it
    instructions: int = Field(ge=1)
    tasks_per_reply: int = Field(ge=1, le=50)
    seeds_per_prompt: int = Field(ge=1)
    made_per_prompt: int = Field(ge=0)  # of the tasks made so far
    max_rouge_l: float = Field(gt=0, le=1)  # of an instruction to any earlier one
    instruction_words: tuple[int, int]
    output_words: tuple[int, int]
    temperature: float = Field(ge=0, le=2)
    max_tokens: int = Field(ge=1)  # of a reply
    requests_at_once: int = Field(ge=1, le=64)
    max_retries: int = Field(ge=0)
    timeout_s: float = Field(gt=0)
    budget_calls: int = Field(ge=0)
    budget_tokens: int | None  # of prompts and replies; null: no limit
    seed: int

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        return checked_address(address) if address else None

    @field_validator("instruction_words", "output_words")
    @classmethod
    def _is_a_range(cls, words: tuple[int, int]) -> tuple[int, int]:
        if not 0 <= words[0] <= words[1]:
            raise ValueError(f"[{words[0]}, {words[1]}] is no range from the least to the most words")
        return words


class Task(BaseModel):
    """One task as a seed file or a reply holds it; what else stands there is left out."""

    model_config = ConfigDict(frozen=True, str_strip_whitespace=True, coerce_numbers_to_str=True)

    instruction: str = Field(min_length=1)
    input: str = ""
    output: str = Field(min_length=1)

    @field_validator("input", mode="before")
    @classmethod
    def _may_be_null(cls, value: Any) -> Any:
        return "" if value is None else value


@dataclass(frozen=True)
class Made:
    """A kept task: which examples its prompt showed (`FILE:LINE`, or `made:N`), and whose reply held it."""

    task: Task
    examples: list[str]
    reply: str


def expand(params: ExpandParams, *, seeds: list[Path], instructions: Path, metrics: Path) -> None:
    """Has a model write new tasks after the seed tasks, and keeps those that are new.

    seeds, instructions: JSON Lines of {"instruction", "input", "output"}; the latter also with "origin", "seeds"
    (the examples in the prompt) and "reply" (its hash in var/expand/replies.jsonl, where every reply is kept as
    it came, so that a run that was stopped asks nothing twice). The same replies give the same instructions.
    Without an endpoint both outs are written, empty. Raises UserError where the endpoint gives up.
    """
    if params.endpoint is None:
        log.info("skipped: no endpoint is configured (expand.endpoint); no instructions are made")
        _write(params, instructions, metrics, made=[], counts=Counter(skipped=1))
        return
    known = [(name, task) for path in seeds for name, task in _read_seeds(path)]
    if not known:
        raise UserError(f"{', '.join(map(str, seeds))}: holds no seed task")
    with Endpoint(
        params.endpoint,
        replies=REPLIES,
        key_variable=params.api_key_variable,
        at_once=params.requests_at_once,
        max_retries=params.max_retries,
        timeout_s=params.timeout_s,
    ) as endpoint:
        expansion = _Expansion(params, endpoint, known)
        expansion.run()
    stage.timings(replies_asked=endpoint.asked)
    _write(params, instructions, metrics, made=expansion.made, counts=expansion.counts)


class _Expansion:
    """The rounds of one run: requests made up from the pool, their replies read in order."""

    def __init__(self, params: ExpandParams, endpoint: Endpoint, seeds: list[tuple[str, Task]]) -> None:
        self.made: list[Made] = []
        self.counts: Counter[str] = Counter()
        self._params = params
        self._endpoint = endpoint
        self._seeds = seeds
        self._earlier = _Earlier([task.instruction for _, task in seeds])
        self._dearest = 0  # tokens of the most expensive call so far

    def run(self) -> None:
        """Asks until there are enough instructions or the budget is used up."""
        while size := self._round_size():
            first = self.counts["calls"]
            asked = [self._request(n) for n in range(first, first + size)]
            replies = self._endpoint.ask([request for request, _ in asked])
            for (request, examples), reply in zip(asked, replies, strict=True):
                self._read(request, examples, reply)
            log.info("%d of %d instructions after %d calls", len(self.made), self._params.instructions, first + size)
        if len(self.made) < self._params.instructions:
            log.warning(
                "stopped by the budget: %d calls, %d tokens; %d of %d instructions",
                self.counts["calls"], self.counts["tokens"], len(self.made), self._params.instructions,
            )  # fmt: skip

    def _round_size(self) -> int:
        """How many requests come next, 0 for none. It depends on the replies so far and on nothing else."""
        params = self._params
        missing = params.instructions - len(self.made)
        size = min(ROUND, -(-missing // params.tasks_per_reply), params.budget_calls - self.counts["calls"])
        if params.budget_tokens is not None:
            left = params.budget_tokens - self.counts["tokens"]
            affordable = left // self._dearest if self._dearest else int(left > 0)  # one call tells what one costs
            size = min(size, affordable)
        return max(0, size)

    def _request(self, n: int) -> tuple[Request, list[str]]:
        """The n-th request, and the names of its examples."""
        params = self._params
        draw = random.Random(f"{params.seed}-{n}")  # noqa: S311
        made = [(f"made:{at}", found.task) for at, found in enumerate(self.made, start=1)]
        examples = draw.sample(self._seeds, min(params.seeds_per_prompt, len(self._seeds)))
        examples += draw.sample(made, min(params.made_per_prompt, len(made)))
        shown = json.dumps([task.model_dump() for _, task in examples], indent=1, ensure_ascii=False)
        prompt = PROMPT.format(helper=params.helper, examples=shown, count=params.tasks_per_reply)
        request = Request(
            endpoint=str(params.endpoint),
            model=params.model,
            messages=({"role": "user", "content": prompt},),
            temperature=params.temperature,
            max_tokens=params.max_tokens,
            n=n,
        )
        return request, [name for name, _ in examples]

    def _read(self, request: Request, examples: list[str], reply: Reply) -> None:
        self._dearest = max(self._dearest, reply.tokens)
        self.counts.update(calls=1, tokens=reply.tokens)
        found = list(read_tasks(reply.text))
        self.counts.update(bad_replies=int(not found), tasks_in=len(found))
        for task in found:
            reason = self._why_not(task)
            if task is None or reason:
                self.counts[f"rejected_{reason}"] += 1
                continue
            self._earlier.add(task.instruction)
            self.made.append(Made(task=task, examples=examples, reply=request.hash))

    def _why_not(self, task: Task | None) -> str | None:
        """One of REJECTIONS, or None."""
        if task is None:
            return "form"
        if not _within(task.instruction, self._params.instruction_words):
            return "length"
        if not _within(task.output, self._params.output_words):
            return "length"
        if self._earlier.nearest(task.instruction) > self._params.max_rouge_l:
            return "near_copy"
        return "surplus" if len(self.made) >= self._params.instructions else None


class _Words:
    """Words of any script, for ROUGE (its own tokenizer knows a to z only)."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text.casefold())


class _Earlier:
    """The instructions so far, and how near the nearest of them is to a new one."""

    def __init__(self, instructions: Sequence[str]) -> None:
        from rouge_score.rouge_scorer import RougeScorer

        self._scorer = RougeScorer(["rougeL"], tokenizer=_Words())
        self._known = [(text, _counted(text)) for text in instructions]

    def add(self, instruction: str) -> None:
        self._known.append((instruction, _counted(instruction)))

    def nearest(self, instruction: str) -> float:
        """The highest ROUGE-L F1 to any earlier instruction, 0 to 1."""
        words = _counted(instruction)
        nearest = 0.0
        for text, known in self._known:
            # no common subsequence is longer than the words in common: most pairs need no more than that
            if _share(words, known) > nearest:
                nearest = max(nearest, float(self._scorer.score(text, instruction)["rougeL"].fmeasure))
        return nearest


def read_tasks(reply: str) -> Iterator[Task | None]:
    """The tasks in a reply, None for one without the right fields.

    Takes a list, an object around it, objects one after another, fences and prose around them, and the whole
    objects of a reply that was cut off.
    """
    for value in json_objects(reply):
        yield from _tasks_in(value)


def _tasks_in(value: dict[str, Any]) -> Iterator[Task | None]:
    inside = [item for items in value.values() if isinstance(items, list) for item in items if isinstance(item, dict)]
    for item in [value] if "instruction" in value or not inside else inside:
        try:
            yield Task.model_validate(item)
        except ValidationError:
            yield None


def _read_seeds(path: Path) -> Iterator[tuple[str, Task]]:
    """The tasks of a seed file with their names. Raises UserError naming the line that is none."""
    for number, task in read_lines(path, Task.model_validate_json, what="a seed task"):
        yield f"{path.name}:{number}", task


def _write(
    params: ExpandParams, instructions: Path, metrics: Path, *, made: Sequence[Made], counts: Counter[str]
) -> None:
    rows = [
        {
            **found.task.model_dump(),
            "origin": f"self-instruct: {params.model}",
            "seeds": found.examples,
            "reply": found.reply,
        }
        for found in made
    ]
    stage.write_text(instructions, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    names = ("skipped", "calls", "tokens", "bad_replies", "tasks_in", *(f"rejected_{reason}" for reason in REJECTIONS))
    stage.write_metrics(metrics, {**{name: counts[name] for name in names}, "tasks_kept": len(made)})


def _within(text: str, words: tuple[int, int]) -> bool:
    return words[0] <= len(text.split()) <= words[1]


def _counted(text: str) -> Counter[str]:
    return Counter(_Words().tokenize(text))


def _share(one: Counter[str], other: Counter[str]) -> float:
    """F1 of the words in common, whatever their order: never below ROUGE-L."""
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 0.0


if __name__ == "__main__":
    stage.main(expand)
