"""The stage `sample`: the fine-tuned model's answers to training prompts, several to each, to be judged."""

import logging
from collections import Counter
from pathlib import Path

from pydantic import Field

from tasks import stage
from tasks.evaluation.answering import AnsweringParams
from tasks.judging.answers import PromptsParams, answers_of, read_prompts
from tasks.judging.kept import write_lines
from tasks.stage import Params

log = logging.getLogger(__name__)


class SampleParams(Params):
    """The section `sample` of params.yaml."""

    prompts: PromptsParams
    answers: int = Field(ge=2)  # to a prompt
    answering: AnsweringParams
    threads: int = Field(ge=1)
    seed: int = Field(ge=0)


def sample(params: SampleParams, *, mixture: Path, model: Path, answers: Path, metrics: Path) -> None:
    """Has the model answer prompts that it was trained on, never those of the hold-out, and writes what it said.

    answers: JSON Lines of `judging.records.Item`. Raises UserError where the mixture or the model can't be read.
    """
    import torch

    torch.set_num_threads(params.threads)
    prompts = read_prompts(mixture, params.prompts, splits=["train"])
    log.info("%d answers to each of %d training prompts", params.answers, len(prompts))
    items = answers_of(model, prompts, params.answering, seed=params.seed, each=params.answers)
    write_lines(answers, items)
    kinds = Counter(prompt.kind for prompt in prompts)
    different = {(item.prompt_id, item.answer) for item in items}
    figures = {"prompts": len(prompts), "answers": len(items), "distinct_answer_share": len(different) / len(items)}
    stage.write_metrics(metrics, figures | {f"prompts_{kind}": number for kind, number in sorted(kinds.items())})


if __name__ == "__main__":
    stage.main(sample)
