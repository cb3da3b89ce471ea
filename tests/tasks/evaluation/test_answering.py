"""How models are asked: what is in the prompt, how long it may be, what a label costs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model import generation, scoring
from model.checkpoint import save_model
from tasks.chat import END_OF_TURN, encode_chat, write_generation_config
from tasks.evaluation.answering import AnsweringParams, Respondent, respondents
from tasks.evaluation.rows import request
from tasks.evaluation.task_scores import constraints_of
from tasks.tokenizer_kinds import load_tokenizer
from tests.tasks import small

LIMITS = {"summarization": 6, "translation": 5, "assistant": 4, "story": 9}


@pytest.fixture(autouse=True)
def tokenizer(workspace: Path) -> None:
    small.write_workspace()
    torch.set_num_threads(1)


def params(**changes: Any) -> AnsweringParams:
    return AnsweringParams(**{
        "shots": 2, "max_tokens": LIMITS, "story_temperature": 0.7, "temperature": 0.0, "top_p": 0.95, "batch": 4,
        **changes,
    })  # fmt: skip


def respondent(*, chat: bool = True, context: int = small.CONTEXT, **changes: Any) -> Respondent:
    return Respondent(
        name="somebody", model=small.decoder(context=context), tokenizer=load_tokenizer(small.TOKENIZER),
        params=params(), chat=chat, **changes,
    )  # fmt: skip


def of(task: str, split: str = "test") -> list[dict[str, Any]]:
    return [row for row in small.rows(split) if row["task"] == task]


def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[list[int]], dict[str, Any]]]:
    """Every call of `generate` from here on: its prompts and its arguments."""
    calls: list[tuple[list[list[int]], dict[str, Any]]] = []
    own = generation.generate

    def noted(model: Any, prompts: Any, **named: Any) -> list[list[int]]:
        calls.append((list(prompts), named))
        return own(model, prompts, **named)

    monkeypatch.setattr(generation, "generate", noted)
    return calls


def test_a_chat_model_is_asked_by_the_template_and_stops_at_the_end_of_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, way, rows = asked(monkeypatch), respondent(), of("translation")
    answers = way.answer("translation", rows, of("translation", "train"))
    assert answers.by == "somebody"
    assert answers.probabilities is None
    assert len(answers.texts) == len(rows)
    (prompts, named), _ = calls
    message = {"role": "user", "content": request(rows[0])}
    assert prompts[0] == encode_chat(way.tokenizer, [message], ask=True).ids
    assert tuple(named["stop"]) == (END_OF_TURN,)
    assert (named["decoding"].max_tokens, named["decoding"].temperature) == (5, 0.0)


def test_a_base_model_sees_examples_with_their_answers_and_never_the_one_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, rows, train = asked(monkeypatch), of("translation"), of("translation", "train")
    respondent(chat=False, shots=2).answer("translation", rows, train)
    respondent(chat=False).answer("translation", rows, train)
    codec = load_tokenizer(small.TOKENIZER)
    few, none = (codec.decode(calls[at][0][0]) for at in (0, 2))
    assert none == f"{request(rows[0])}\nAnswer:"
    assert few.endswith(f"\n\n{none}")
    shown = few.removesuffix(none).split("\n\n")[:-1]
    assert len(shown) == 2
    assert set(shown) <= {f"{request(row)}\nAnswer: {row['answer']}" for row in train}
    assert tuple(calls[0][1]["stop"]) == ()


def test_a_base_model_that_is_asked_for_a_story_is_shown_stories(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, rows, train = asked(monkeypatch), of("assistant"), of("assistant", "train")
    respondent(chat=False, shots=2, context=400).answer("assistant", rows, train)
    codec = load_tokenizer(small.TOKENIZER)
    for (prompts, _), of_stories in zip(calls, (False, True), strict=True):
        first = next(row for row in rows if bool(constraints_of(row)) == of_stories)
        shown = codec.decode(prompts[0]).removesuffix(f"{request(first)}\nAnswer:")
        alike = [row for row in train if bool(constraints_of(row)) == of_stories]
        examples = [f"{request(row)}\nAnswer: {row['answer']}\n\n" for row in alike]
        assert shown
        assert any(shown.startswith(one) for one in examples)
        assert any(shown.endswith(one) for one in examples)


def test_story_requests_are_drawn_and_longer_and_everything_else_is_greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, rows = asked(monkeypatch), of("assistant")
    texts = respondent().answer("assistant", rows, of("assistant", "train")).texts
    limits = [(named["decoding"].max_tokens, named["decoding"].temperature) for _, named in calls]
    assert limits == [(4, 0.0), (9, 0.7)]
    assert [len(prompts) for prompts, _ in calls] == [12, 4]
    backwards = respondent().answer("assistant", rows[:3], of("assistant", "train")).texts
    assert texts[0] == backwards[0]  # each answer stands at the place of its row


@pytest.mark.parametrize("context", [28, 48, small.CONTEXT])
@pytest.mark.parametrize("way", [{"chat": True}, {"chat": False}, {"chat": False, "shots": 2}], ids=str)
def test_prompts_never_outgrow_the_context(monkeypatch: pytest.MonkeyPatch, context: int, way: dict[str, Any]) -> None:
    calls, rows, train = asked(monkeypatch), of("summarization"), of("summarization", "train")
    long = small.row("summarization", "Well, " * 200 + "Short?", "x", document="x", group="long")
    somebody = respondent(context=context, **way)
    answers = somebody.answer("summarization", [*rows[:2], long], train)
    assert len(answers.texts) == 3
    (prompts, _), _ = calls
    codec = somebody.tokenizer
    room = min(LIMITS["summarization"], context // 2)
    for prompt in prompts:
        assert 1 + len(prompt) + room <= context
    asks = encode_chat(codec, [], ask=True).ids if way["chat"] else codec.encode("\nAnswer:").ids
    assert prompts[2][-len(asks) :] == asks  # of a long request the end is kept
    labelled = somebody.answer("classification", of("classification")[:3], of("classification", "train"))
    assert np.isfinite(labelled.probabilities).all()


@pytest.mark.parametrize("words", ["Well, so it was, ", "\U0001f600 häj "], ids=["plain", "letters of several bytes"])
@pytest.mark.parametrize("context", [28, 48, small.CONTEXT])
def test_a_request_too_long_for_a_chat_is_cut_in_its_content_and_stays_a_turn_of_the_user(
    monkeypatch: pytest.MonkeyPatch, context: int, words: str
) -> None:
    calls, somebody = asked(monkeypatch), respondent(context=context)
    text = words * 200 + "Short?"
    somebody.answer("summarization", [small.row("summarization", text, "x", document="x", group="long")], [])
    ((prompt,), _), _ = calls
    codec, most = somebody.tokenizer, context - 1 - min(LIMITS["summarization"], context // 2)
    empty = encode_chat(codec, [{"role": "user", "content": ""}], ask=True).ids
    head = empty.index(END_OF_TURN)
    assert prompt[:head] == empty[:head]
    assert prompt[head - len(empty) :] == empty[head:]
    said = codec.decode(prompt[head : head - len(empty)])
    assert said
    assert text.endswith(said)
    assert most - 12 < len(prompt) <= most  # of one letter, up to a dozen ids


@pytest.mark.parametrize("way", [{"chat": True}, {"chat": False}, {"chat": False, "shots": 2}], ids=str)
def test_labels_are_chosen_by_what_they_cost_with_their_end(
    monkeypatch: pytest.MonkeyPatch, way: dict[str, Any]
) -> None:
    seen: list[Any] = []
    own = scoring.continuation_bits

    def noted(model: Any, prompts: Any, candidates: Any, **named: Any) -> Any:
        seen.append((prompts, candidates, own(model, prompts, candidates, **named)))
        return seen[-1][2]

    monkeypatch.setattr(scoring, "continuation_bits", noted)
    rows, somebody = of("classification"), respondent(**way)
    answers = somebody.answer("classification", rows, of("classification", "train"))
    ((prompts, candidates, bits),) = seen
    labels = ["proud", "sad"]
    for label, ids in zip(labels, candidates[0], strict=True):
        if way["chat"]:
            assert ids[-1] == END_OF_TURN
            assert somebody.tokenizer.decode(ids[:-1]) == label
        else:
            assert somebody.tokenizer.decode(ids) == f" {label}\n"
    costs = np.array([[each.sum() for each in row] for row in bits])
    whole = scoring.token_bits(somebody.model, [[*prompts[0], *ids] for ids in candidates[0]])
    by_hand = [cost[len(prompts[0]) :].sum() for cost in whole]  # the end is among what is summed
    np.testing.assert_allclose(costs[0], by_hand, rtol=1e-4)
    likely = answers.probabilities
    assert likely is not None
    np.testing.assert_allclose(likely.sum(axis=1), 1.0)
    np.testing.assert_allclose(likely, np.exp2(-costs) / np.exp2(-costs).sum(axis=1, keepdims=True), rtol=1e-6)
    assert answers.texts == [labels[at] for at in likely.argmax(axis=1)]


def test_a_label_is_said_in_the_words_of_the_training_rows() -> None:
    train = [{**row, "answer": f"It is {row['label']}."} for row in of("classification", "train")]
    answers = respondent().answer("classification", of("classification"), train)
    assert set(answers.texts) <= {"It is sad.", "It is proud."}


def test_a_folder_says_how_its_model_is_asked() -> None:
    ways = respondents(small.BASE, small.decoder(), params(), seed=5)
    assert [(way.name, way.chat, way.shots) for way in ways] == [
        ("base_few_shot", False, 2),
        ("base_zero_shot", False, 0),
    ]
    tuned = Path("models/finetuned")
    save_model(tuned, small.decoder(), tokenizer=small.TOKENIZER)
    write_generation_config(tuned)
    (way,) = respondents(tuned, small.decoder(), params(), seed=5)
    assert (way.name, way.chat, way.shots, way.seed) == ("finetuned", True, 0, 5)
