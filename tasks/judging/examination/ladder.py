"""Check 2: human-written > later checkpoints > earlier ones > shuffled words > one phrase over and over.

What pretraining said on the way is the middle of the ladder. All texts of a chain are cut to the same number of
words, since a sample stops in mid-sentence too, and closed with a full stop, and all are judged as answers to the same
request.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from tasks.evaluation.intervals import Bootstrap, Floats, Measure, with_interval
from tasks.judging.examination.rows import json_lines, text_field
from tasks.judging.examination.scorecard import Check, Limit, not_run
from tasks.judging.examination.stories import Story
from tasks.judging.examination.verdicts import Answered, Question, ask
from tasks.judging.judge import Judge
from tasks.judging.records import Item, Pair
from tasks.judging.rubric import Rubric
from tasks.stage import UserError

REQUEST = "Write a story."
_FEWEST_WORDS = 8  # of a text that can be judged at all
_WORDS_WITHOUT_SAMPLES = 60
_PHRASE_WORDS = 3


@dataclass(frozen=True, kw_only=True)
class Rung:
    """What a model said to a prompt after so many optimiser steps."""

    step: int
    prompt: str
    text: str

    @property
    def whole(self) -> str:
        return self.prompt + self.text


@dataclass(frozen=True, kw_only=True)
class _Text:
    """A text of a chain. height: 0 for the lowest rung."""

    item: Item
    height: int
    rung: str


def read_ladder(path: Path) -> list[Rung]:
    """The samples of pretraining: JSON Lines of {step, prompt, text}. A file without a line is no mistake.

    Raises UserError naming the file and the line.
    """
    found = []
    for place, row in json_lines(path, named_by="the samples of pretraining"):
        step = row.get("step")
        if not isinstance(step, int) or isinstance(step, bool) or step < 0:
            raise UserError(f"{place}: the field 'step' must be a whole number of steps; got {step!r}")
        text = text_field(row, "text", place, may_be_empty=True)
        found.append(Rung(step=step, prompt=text_field(row, "prompt", place), text=text))
    return found


def ladder_checks(
    judge: Judge, rubric: Rubric, *, ladder: Sequence[Rung], stories: Sequence[Story], chains: int, checkpoints: int,
    adjacent: Limit, spearman: Limit, bootstrap: Bootstrap, seed: int,
) -> list[Check]:  # fmt: skip
    """The share of adjacent rungs in the right order, and Spearman's correlation of height and overall score."""
    texts = _chains(ladder, stories, chains=chains, checkpoints=checkpoints, seed=seed)
    answered = ask(judge, _adjacent(texts), rubric)
    by_rung = ", ".join(
        f"{kind} {_share(answered, kind)}" for kind in dict.fromkeys(q.kind for q in answered.questions)
    )
    note = by_rung if ladder else f"no samples of pretraining; {by_rung}"
    share = answered.check("ladder_adjacent_share", answered.right(), limit=adjacent, bootstrap=bootstrap, note=note)
    return [share, _spearman(judge, rubric, texts, limit=spearman, bootstrap=bootstrap)]


def _share(answered: Answered, kind: str) -> str:
    told = [one for one in answered.only(lambda q: q.kind == kind).right() if one is not None]
    return f"{sum(told) / len(told):.2f}" if told else "no verdict"


def _chains(
    ladder: Sequence[Rung], stories: Sequence[Story], *, chains: int, checkpoints: int, seed: int
) -> list[list[_Text]]:
    """Texts from best to worst, a list a chain. Chains go through the prompts of the samples in turn."""
    human = [story for story in stories if story.written_by_hand] or list(stories)
    prompts = list(dict.fromkeys(rung.prompt for rung in ladder))
    found = []
    for at, story in enumerate(human[:chains]):
        prompt = prompts[at % len(prompts)] if prompts else ""
        samples = _spread([rung for rung in ladder if rung.prompt == prompt], checkpoints)
        words = min([len(story.text.split()), *(len(rung.whole.split()) for rung in samples)])
        if not samples:
            words = min(words, _WORDS_WITHOUT_SAMPLES)
        if words >= _FEWEST_WORDS:
            top = "human" if story.written_by_hand else "real"
            found.append(_chain(at, story.text, samples, top=top, words=words, seed=seed))
    return found


def _spread(rungs: Sequence[Rung], most: int) -> list[Rung]:
    """One sample a step, of at most so many steps, evenly spread, the last and the first among them; last first."""
    by_step = {rung.step: rung for rung in reversed(rungs)}
    steps = sorted(by_step, reverse=True)
    if len(steps) > most:
        steps = [steps[round(at * (len(steps) - 1) / max(1, most - 1))] for at in range(most)]
    return [by_step[step] for step in steps]


def _chain(at: int, human: str, samples: Sequence[Rung], *, top: str, words: int, seed: int) -> list[_Text]:
    shuffled = _first(human, words).split()
    random.Random(f"{seed} ladder {at}").shuffle(shuffled)  # noqa: S311 - words of a story
    phrase = human.split()[:_PHRASE_WORDS]
    told = [(top, _first(human, words))]
    told += [(f"step {rung.step}", _first(rung.whole, words)) for rung in samples]
    told += [("shuffled", " ".join(shuffled)), ("degenerate", " ".join((phrase * words)[:words]))]
    return [
        _Text(
            item=Item(prompt_id=f"ladder-{at}", kind="story", prompt=REQUEST, answer=_closed(text), by=rung),
            height=len(told) - 1 - place, rung=rung,
        )
        for place, (rung, text) in enumerate(told)
    ]  # fmt: skip


def _first(text: str, words: int) -> str:
    """The first words of a text, its white space kept."""
    end = 0
    for _ in range(words):
        start = len(text) - len(text[end:].lstrip())
        end = start + len(text[start:].split(maxsplit=1)[0])
    return text[:end]


def _closed(text: str) -> str:
    """A text that ends with a full stop: whether the cut fell on the end of a sentence says nothing of a rung."""
    return re.sub(r"\W*$", ".", text, count=1)


def _adjacent(chains: Sequence[Sequence[_Text]]) -> list[Question]:
    """Each pair of neighbours once, however many chains have it; which is shown first alternates."""
    found: dict[tuple[str, str], Question] = {}
    for at, chain in enumerate(chains):
        for place, (upper, lower) in enumerate(pairwise(chain)):
            first = (at + place) % 2 == 0
            pair = Pair(first=upper.item, second=lower.item) if first else Pair(first=lower.item, second=upper.item)
            key = (upper.item.answer, lower.item.answer)
            kind = f"{upper.rung} > {lower.rung}"
            found.setdefault(
                key, Question(pair=pair, better="first" if first else "second", group=f"chain {at}", kind=kind)
            )
    return list(found.values())


def _spearman(
    judge: Judge, rubric: Rubric, chains: Sequence[Sequence[_Text]], *, limit: Limit, bootstrap: Bootstrap
) -> Check:
    """Rank correlation of height and overall score, over the distinct texts of all chains (ties share their rank)."""
    texts = list({text.item.answer: text for chain in chains for text in chain}.values())
    records = judge.score([text.item for text in texts], rubric) if texts else []
    pairs = [(t.height, r.overall) for t, r in zip(texts, records, strict=True) if r.overall is not None]
    if len(pairs) < 3:
        return not_run("ladder_spearman", limit=limit, note=f"{len(pairs)} texts with a score; it takes three")
    measure = _rank_correlation(np.array([h for h, _ in pairs], float), np.array([s for _, s in pairs], float))
    return Check.of("ladder_spearman", with_interval(measure, bootstrap), count=len(pairs), limit=limit)


def _rank_correlation(heights: Floats, scores: Floats) -> Measure:
    """Spearman's correlation; NaN where one side does not vary."""

    def one(drawn: Floats) -> float:
        rows = np.repeat(np.arange(len(heights)), drawn.astype(int))
        first, second = _ranks(heights[rows]), _ranks(scores[rows])
        if np.ptp(first) == 0 or np.ptp(second) == 0:
            return float("nan")
        return float(np.corrcoef(first, second)[0, 1])

    return Measure(rows=len(heights), statistic=lambda drawn: np.array([one(row) for row in drawn]))


def _ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    shared: Floats = np.cumsum(counts) - (counts - 1) / 2
    return shared[place]
