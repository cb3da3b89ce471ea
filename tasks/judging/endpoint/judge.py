"""A judge behind an endpoint that speaks OpenAI's HTTP API."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from tasks.judging.endpoint import prompts, replies
from tasks.judging.endpoint.asking import Asking, Question
from tasks.judging.endpoint.outcomes import Outcome, pair_record, rank_record, score_record
from tasks.judging.endpoint.params import EndpointJudgeParams
from tasks.judging.injection import injection
from tasks.judging.judge import JudgeId, check_lists
from tasks.judging.records import Item, Pair, PairRecord, RankRecord, ScoreRecord
from tasks.judging.rubric import Rubric
from tasks.judging.verdicts import kept_files, models_in
from tasks.stage import UserError


class EndpointJudge:
    """Grades by asking a model, and keeps every reply as it comes; a question is asked once, ever.

    Each reply gives its reasons before its values and is checked against its shape; one that can't be used is asked
    for again, then it is an abstention. An answer that speaks to the judge is flagged and not asked about. To be used
    in a `with` block. UserError ends a run (the server is down, the budget is used up) and loses nothing.
    """

    def __init__(self, params: EndpointJudgeParams, *, kept: Sequence[Path], state: Path) -> None:
        self._params = params
        self._id = JudgeId(name=params.name, revision=params.model, prompt_hash=prompts.PROMPT_HASH)
        self._asking = Asking(params, judge=str(self._id), kept=kept, state=state)

    def __enter__(self) -> "EndpointJudge":
        return self

    def __exit__(self, *error: object) -> None:
        self._asking.close()

    @property
    def id(self) -> JudgeId:
        return self._id

    @property
    def source(self) -> Literal["LLM_JUDGE"]:
        return "LLM_JUDGE"

    @property
    def cost(self) -> dict[str, float | None]:
        """What this run has cost so far: calls, prompt_tokens, reply_tokens, seconds, cached_share, price."""
        return self._asking.cost()

    def repeated(self, number: int) -> "Repeated":
        """The same judge asked anew: its replies are kept beside those to the same questions under other numbers."""
        return Repeated(self, number)

    def score(self, items: Sequence[Item], rubric: Rubric, *, repeat: int = 0) -> list[ScoreRecord]:
        """A level with its reason on each axis of each answer."""
        flags = [_flag([item]) for item in items]
        asked = [self._score_question(item, rubric) for item, flag in zip(items, flags, strict=True) if not flag]
        said = iter(self._asking.ask(asked, repeat=repeat))
        judge = str(self.id)
        return [score_record(judge, item, flag or next(said), rubric) for item, flag in zip(items, flags, strict=True)]

    def compare(self, pairs: Sequence[Pair], rubric: Rubric, *, repeat: int = 0) -> list[PairRecord]:
        """Each pair in both orders; where these disagree, it is a tie."""
        flags = [_flag([pair.first, pair.second]) for pair in pairs]
        asked = [
            self._compare_question(order, rubric)
            for pair, flag in zip(pairs, flags, strict=True)
            if not flag
            for order in (pair, pair.swapped)
        ]
        said = iter(self._asking.ask(asked, repeat=repeat))
        return [
            pair_record(str(self.id), pair, (flag, flag) if flag else (next(said), next(said)))
            for pair, flag in zip(pairs, flags, strict=True)
        ]

    def rank(self, lists: Sequence[Sequence[Item]], rubric: Rubric, *, repeat: int = 0) -> list[RankRecord]:
        """Tiers of each list: one answer stands above another where it does so in every order of showing."""
        check_lists(lists)
        flags = [_flag(items) for items in lists]
        orders = [_orders(items, self._params.rank_orders) for items in lists]
        asked = [
            self._rank_question([items[at] for at in order], rubric)
            for items, flag, shown in zip(lists, flags, orders, strict=True)
            if not flag
            for order in shown
        ]
        said = iter(self._asking.ask(asked, repeat=repeat))
        return [
            rank_record(str(self.id), items, shown, [flag or next(said) for _ in shown])
            for items, flag, shown in zip(lists, flags, orders, strict=True)
        ]

    def _score_question(self, item: Item, rubric: Rubric) -> Question:
        messages = prompts.score_messages(item, rubric, characters=self._params.text_characters)
        shape = replies.score_shape(tuple(rubric.axes(item.part)))
        return Question(kind="score", messages=messages, shape=shape, rubric=rubric.hash, shown=(item.id,))

    def _compare_question(self, pair: Pair, rubric: Rubric) -> Question:
        messages = prompts.compare_messages(pair.first, pair.second, rubric, characters=self._params.text_characters)
        shape = replies.compare_shape(tuple(rubric.axes(pair.first.part)))
        shown = pair.first.id, pair.second.id
        return Question(kind="compare", messages=messages, shape=shape, rubric=rubric.hash, shown=shown)

    def _rank_question(self, items: Sequence[Item], rubric: Rubric) -> Question:
        messages = prompts.rank_messages(items, rubric, characters=self._params.text_characters)
        shown = tuple(item.id for item in items)
        shape = replies.rank_shape(len(items))
        return Question(kind="rank", messages=messages, shape=shape, rubric=rubric.hash, shown=shown)


@dataclass(frozen=True)
class Repeated:
    """A judge whose every question is one of another number."""

    judge: EndpointJudge
    number: int

    @property
    def id(self) -> JudgeId:
        return self.judge.id

    @property
    def source(self) -> Literal["LLM_JUDGE"]:
        return self.judge.source

    def score(self, items: Sequence[Item], rubric: Rubric) -> list[ScoreRecord]:
        return self.judge.score(items, rubric, repeat=self.number)

    def compare(self, pairs: Sequence[Pair], rubric: Rubric) -> list[PairRecord]:
        return self.judge.compare(pairs, rubric, repeat=self.number)

    def rank(self, lists: Sequence[Sequence[Item]], rubric: Rubric) -> list[RankRecord]:
        return self.judge.rank(lists, rubric, repeat=self.number)


def is_configured(params: EndpointJudgeParams, *, verdicts: Path) -> bool:
    """Whether there is a judge to open: a server, or verdicts of one that were kept."""
    return params.address is not None or bool(kept_files(verdicts, params.name))


def open_endpoint_judge(params: EndpointJudgeParams, *, verdicts: Path, state: Path) -> EndpointJudge:
    """The judge that the parameters describe.

    verdicts: the folder of kept verdicts, only read; state: the folder where new replies are added as they come.
    Raises UserError where there is neither a server nor anything kept, and where it is not clear whose was kept.
    """
    kept = kept_files(verdicts, params.name)
    file = state / f"{params.name}.jsonl"
    if not params.model:
        params = params.model_copy(update={"model": _model_of([*kept, *([file] if file.exists() else [])], params)})
    return EndpointJudge(params, kept=kept, state=file)


def _model_of(files: Sequence[Path], params: EndpointJudgeParams) -> str:
    """The one model whose replies were kept."""
    models = sorted(models_in(files))
    if len(models) == 1:
        return models[0]
    if models:
        raise UserError(
            f"judge '{params.name}' has kept verdicts of {len(models)} models ({', '.join(models)}): name one in "
            "calibrate.endpoint.model or FLEDGLING_JUDGE_MODEL"
        )
    raise UserError(
        f"judge '{params.name}' has no server and no kept verdicts: set FLEDGLING_JUDGE_ADDRESS and "
        "FLEDGLING_JUDGE_MODEL (calibrate.endpoint)"
    )


def _flag(items: Sequence[Item]) -> Outcome | None:
    """The outcome of answers of which one speaks to the judge; None where none does."""
    for number, item in enumerate(items, start=1):
        if found := _injection(item.answer, item.prompt):
            which = "The answer" if len(items) == 1 else f"Answer {number} of {len(items)}"
            return Outcome(status="injection_flag", reason=f"{which} speaks to its judge; it {found}.")
    return None


@lru_cache(maxsize=50_000)  # an answer stands in many pairs
def _injection(answer: str, prompt: str) -> str | None:
    return injection(answer, prompt=prompt)


def _orders(items: Sequence[Item], count: int) -> list[list[int]]:
    """Orders to show answers in: each second one is the reverse of the one before; by the answers, not by chance."""
    draw = random.Random("-".join(item.id for item in items))  # noqa: S311
    orders: list[list[int]] = []
    while len(orders) < count:
        order = draw.sample(range(len(items)), len(items))
        orders += [order, order[::-1]]
    return orders[:count]
