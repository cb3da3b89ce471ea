"""The prompts that models are judged on, and what the models answer: frozen decoding, recorded with each answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from tasks.evaluation.answering import AnsweringParams, Respondent, load_decoder, respondents
from tasks.evaluation.rows import Row, request
from tasks.evaluation.task_scores import constraints_of, references_of
from tasks.judging.records import STORY, Item
from tasks.records import FEEDBACK_SOURCE, read_rows
from tasks.stage import Params, UserError

SEEDS_APART = 100_003  # between two answers to the same prompt


class PromptsParams(Params):
    """How many prompts: requests for a story, and of each other kind."""

    stories: int = Field(ge=1)
    others: int = Field(ge=0)
    kinds: tuple[str, ...]  # the others; a label is not judged, it is counted


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A row of the mixture that is asked for its answer to be judged. examples: for models that know no chat."""

    id: str
    kind: str
    task: str
    row: Row
    examples: tuple[Row, ...] = ()

    def item(self, answer: str, *, by: str, decoding: Mapping[str, Any]) -> Item:
        return Item(
            prompt_id=self.id,
            kind=self.kind,
            prompt=request(self.row),
            answer=answer,
            by=by,
            references=tuple(references_of(self.row)),
            document=str(self.row["document"]),
            constraints=constraints_of(self.row),
            decoding=decoding,
        )


def read_prompts(mixture: Path, params: PromptsParams, *, splits: Sequence[str]) -> list[Prompt]:
    """Prompts of these splits, those of the first one first; which of a split is decided by their ids.

    Raises UserError where a split is missing or nothing asks for a story.
    """
    train = _by_task(mixture, "train")
    found: dict[str, list[Prompt]] = {}
    for split in splits:
        for task, rows in _by_task(mixture, split).items():
            for row in sorted(rows, key=lambda row: str(row["id"])):
                kind = STORY if constraints_of(row) else str(row["kind"])
                prompt = Prompt(id=str(row["id"]), kind=kind, task=task, row=row, examples=tuple(train.get(task, ())))
                found.setdefault(kind, []).append(prompt)
    if not found.get(STORY):
        raise UserError(f"{mixture}: no row of {', '.join(splits)} asks for a story; the source of story requests does")
    others = [prompt for kind in params.kinds for prompt in found.get(kind, [])[: params.others]]
    return [*found[STORY][: params.stories], *others]


def _by_task(mixture: Path, split: str) -> dict[str, list[Row]]:
    """Without what people said: it answers prompts that stand there already, and would change them round by round."""
    path = mixture / f"{split}.parquet"
    if not path.exists():
        raise UserError(f"{path}: no such file; the stage mix makes it, run `dvc repro`")
    found: dict[str, list[Row]] = {}
    for row in read_rows(path):
        if row["source"] != FEEDBACK_SOURCE:
            found.setdefault(str(row["task"]), []).append(row)
    return found


def answers_of(
    folder: Path, prompts: Sequence[Prompt], params: AnsweringParams, *, seed: int, each: int = 1, name: str = ""
) -> list[Item]:
    """A model's answers, `each` to a prompt, in the order of the prompts. name: what it goes by; else the folder's.

    A base model is shown as many examples as fit its context. Raises UserError where the model can't be read.
    """
    way = respondents(folder, load_decoder(folder), params, seed=seed)[0]
    drawn = [_answers(replace(way, seed=seed + n * SEEDS_APART), prompts) for n in range(each)]
    decoding = {**params.model_dump(mode="json"), "seed": seed, "way": way.name}
    return [
        prompt.item(told[at][0], by=name or folder.name, decoding={**decoding, "draw": n, "cut": told[at][1]})
        for at, prompt in enumerate(prompts)
        for n, told in enumerate(drawn)
    ]


def _answers(way: Respondent, prompts: Sequence[Prompt]) -> list[tuple[str, bool]]:
    """Each prompt's answer, and whether it was cut for its length."""
    found = [("", False)] * len(prompts)
    for task in dict.fromkeys(prompt.task for prompt in prompts):
        places = [at for at, prompt in enumerate(prompts) if prompt.task == task]
        rows = [prompts[at].row for at in places]
        told = way.answer(str(rows[0]["kind"]), rows, prompts[places[0]].examples)
        for place, (at, text) in enumerate(zip(places, told.texts, strict=True)):
            found[at] = text, place in told.cut
    return found
