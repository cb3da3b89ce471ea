"""Thumbs: each answer once, none of what is held back, and learnt from by KTO from the batch file to the model."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoint import load_model
from model.scoring import continuation_bits
from tasks.align import align
from tasks.chat import END_OF_TURN, encode_chat, write_generation_config
from tasks.judging.kept import write_lines
from tasks.pair import PairParams, pair
from tasks.pairing.preference import Thumb
from tasks.pairing.thumbs import thumbs_of, without_leaks
from tasks.reviews.batch_file import Answer, Feedback, Prompt
from tasks.tokenizer_kinds import load_tokenizer
from tests.tasks import small, test_align, test_pair
from tests.tasks.reviews import test_batch_file as batch_file

PAIRS = Path("data/pairs")


def rated(number: int, level: int, **changes: Any) -> Feedback:
    scores = {"grammar": level, "plot": level}
    return batch_file.row(number, kind="rating", decision={"scores": scores}, reviewer=f"reader-{number}", **changes)


@pytest.mark.parametrize(
    ("levels", "thumbs", "rejected"),
    [
        ((5,), [True], {}),
        ((3,), [], {"middling": 1}),
        ((5, 4), [True], {}),
        ((5, 4, 1), [True], {}),
        ((1, 2, 3), [False], {"middling": 1}),
        ((5, 1), [], {"people_disagree": 2}),
    ],
    ids=["one", "middling", "two agree", "most", "most who are clear", "equal"],
)
def test_an_answer_has_one_thumb_the_way_that_most_point(
    levels: tuple[int, ...], thumbs: list[bool], rejected: dict[str, int]
) -> None:
    counted: Counter[str] = Counter()
    found = thumbs_of([rated(at, level) for at, level in enumerate(levels)], counted)
    assert [(one.desirable, one.weight) for one in found] == [(desirable, 1.0) for desirable in thumbs]
    assert +counted == rejected


def test_the_origin_names_everybody_who_said_so() -> None:
    (found,) = thumbs_of([rated(1, 5), rated(2, 4), rated(3, 1)], Counter())
    assert (found.origin["votes"], found.origin["of"]) == (2, 3)
    assert [one["reviewer"] for one in found.origin["people"]] == ["reader-1", "reader-2"]


def test_what_validation_pairs_ask_and_what_is_held_out_gives_no_thumb() -> None:
    thumbs = [Thumb(prompt_id=name, kind="story", prompt="Tell me.", answer="Once.", desirable=True) for name in "abc"]
    counted: Counter[str] = Counter()
    assert without_leaks(thumbs, {"a": "one", "b": "two"}, {"two"}, counted) == thumbs[:1]
    assert counted == {"held_back": 1, "contaminated": 1}


def judgement(number: int, *, good: bool) -> Feedback:
    """A person's rating of a first answer to a prompt: those of even numbers are good."""
    item = test_pair.item(number, 1)
    shown = Answer(generation="g0", judged_item=item.id, text=item.answer, model="m", model_version="", decoding={})
    prompt = Prompt(
        id=item.prompt_id, text=item.prompt, document="", task="story", cluster=item.prompt_id, split="train"
    )
    return rated(number, 5 if good else 1, answers=(shown,), prompt=prompt)


def bits(folder: Path, number: int) -> float:
    """Of an answer and its end, by the model of a folder."""
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    item = test_pair.item(number, 1)
    asked = encode_chat(tokenizer, [{"role": "user", "content": item.prompt}], ask=True).ids
    told = [*tokenizer.encode(item.answer, add_special_tokens=False).ids, END_OF_TURN]
    [[found]] = continuation_bits(load_model(folder), [asked], [[told]], batch=1)
    return float(found.sum())


def test_kto_learns_what_people_rated_from_the_batch_file_to_the_model(workspace: Path) -> None:
    small.write_workspace()
    write_generation_config(small.BASE)
    torch.set_num_threads(1)
    test_pair.FEEDBACK.mkdir(parents=True)
    write_lines(test_pair.ANSWERS, test_pair.ITEMS)
    write_lines(test_pair.LABELLED / "pairs.jsonl", [test_pair.verdict(number) for number in (8, 9)])
    batch_file.write(test_pair.FEEDBACK, [judgement(number, good=number % 2 == 0) for number in range(8)])
    paths = {"answers": test_pair.ANSWERS, "labelled": test_pair.LABELLED, "feedback": test_pair.FEEDBACK}
    params = {**test_pair.PARAMS, "validation_share": 0.4}
    pair(
        PairParams.model_validate_json(json.dumps(params)), **paths, mixture=small.MIXTURE, pairs=PAIRS,
        metrics=test_pair.METRICS,
    )  # fmt: skip
    counted = json.loads(test_pair.METRICS.read_text())
    assert (counted["thumbs_up"], counted["thumbs_down"]) == (4, 4)
    assert json.loads((PAIRS / "manifest.json").read_text())["reviewers"] == {f"reader-{n}": 1 for n in range(8)}

    kto = {"desirable_weight": 1.0, "undesirable_weight": 1.0, "pairs_too": False}
    nothing_else = {"sft_weight": 0.0, "replay": {"share": 0.0, "weight": 0.0, "source": "text"}}
    aligned, figures = Path("models/aligned"), Path("metrics/align.json")
    align(
        test_align.aligning(loss="kto", kto=kto, **nothing_else), model=small.BASE, pairs=PAIRS, mixture=small.MIXTURE,
        tokens=small.TOKENS, aligned=aligned, metrics=figures, curve=Path("plots/align.csv"),
    )  # fmt: skip
    assert json.loads(figures.read_text())["thumbs"] == 8
    gain = [bits(small.BASE, number) - bits(aligned, number) for number in range(8)]
    assert min(gain[0::2]) > max(gain[1::2])
    assert min(gain[0::2]) > 0
