import json
from typing import Any

import numpy as np
import pytest

from tasks.evaluation.baselines import BASELINES, baselines_for
from tasks.evaluation.baselines.extracts import Lead, central_sentences
from tasks.evaluation.language import sentences

pytestmark = pytest.mark.usefixtures("workspace")

STORY = (
    'The dog ran to the river. "Where is my ball?" he asked. Mr. Bell had seen the ball in the river. '
    "The moon was out. The dog found the ball by the river."
)


def _row(asked: str, answer: str, **other: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    held = {"messages": json.dumps(messages), "answer": answer, "references": json.dumps([answer])}
    return {
        **held,
        "document": "",
        "label": "",
        "constraints": "{}",
        "answerable": True,
        "aspect": "",
        "group": "",
    } | other


def _feelings(count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    words = {"sad": "tears wept gloomy", "proud": "cheered won medal", "angry": "stamped shouted red"}
    rows = []
    for at in range(count):
        label = ["sad", "sad", "proud", "angry"][at % 4]
        text = " ".join(
            [*rng.choice(["the", "a", "dog", "cat", "went", "home", "then"], 12), *rng.choice(words[label].split(), 2)]
        )
        rows.append(_row(text, f"It is {label}.", document=text, label=label))
    return rows


def test_classifiers_learn_and_give_probabilities_in_the_order_of_the_labels() -> None:
    train, test = _feelings(200), _feelings(40)
    tfidf, majority = baselines_for("classification", train, seed=1)
    assert (tfidf.name, majority.name) == BASELINES["classification"]
    assert tfidf.answers(test) == [row["answer"] for row in test]
    likely = tfidf.probabilities(test)
    assert likely is not None
    assert likely.sum(axis=1) == pytest.approx(1)
    assert [["angry", "proud", "sad"][at] for at in likely.argmax(axis=1)] == [row["label"] for row in test]
    assert set(majority.answers(test)) == {"It is sad."}
    again = baselines_for("classification", train, seed=1)[0].probabilities(test)
    assert np.array_equal(likely, again)


def test_one_class_leaves_the_majority() -> None:
    train = [row for row in _feelings(20) if row["label"] == "sad"]
    assert [baseline.name for baseline in baselines_for("classification", train, seed=1)] == ["majority"]


def test_few_rows_are_enough() -> None:
    for kind in BASELINES:
        train = [
            _row("a dog", "en hund", document="a dog", label="x"),
            _row("a cat", "en katt", document="a cat", label="y"),
        ]
        for baseline in baselines_for(kind, train, seed=1):
            assert len(baseline.answers(train)) == 2
            assert baseline.answers([]) == []


def test_nothing_to_train_on_and_an_unknown_kind_are_errors() -> None:
    with pytest.raises(ValueError, match="no training row"):
        baselines_for("translation", [], seed=1)
    with pytest.raises(ValueError, match="unknown kind of task 'poetry'"):
        baselines_for("poetry", [_row("a", "b")], seed=1)


def test_sentences_keep_titles_and_speech_together() -> None:
    assert sentences(STORY)[1:3] == ['"Where is my ball?" he asked.', "Mr. Bell had seen the ball in the river."]


def test_lead_and_central_sentences() -> None:
    assert Lead(2).answers([_row("", "", document=STORY)]) == [" ".join(sentences(STORY)[:2])]
    assert "The moon was out." not in central_sentences(STORY, 3)
    assert len(central_sentences(STORY, 3)) == 3
    assert central_sentences("One only.", 3) == ["One only."]
    assert central_sentences("", 3) == []


def test_phrases_remember_whole_sentences_and_put_known_phrases_together() -> None:
    nouns = {"dog": "hund", "cat": "katt", "fox": "räv", "bird": "fågel", "boy": "pojke", "king": "kung"}
    verbs = {"sleeps": "sover", "sings": "sjunger", "waits": "väntar", "swims": "simmar"}
    pairs = [(f"A {n} {v}.", f"En {nouns[n]} {verbs[v]}.") for n in nouns for v in verbs]
    train = [_row(s, t, document=s) for s, t in pairs if s != "A fox swims."]
    phrases, copy = baselines_for("translation", train, seed=1)
    unseen = [_row(s, "", document=s) for s in ("A fox swims.", "a DOG sings.", "A Mia sings.")]
    assert phrases.answers(unseen) == ["En räv simmar.", "En hund sjunger.", "En Mia sjunger."]
    assert copy.answers(unseen)[0] == "A fox swims."


def test_retrieval_gives_the_answer_of_the_nearest_question() -> None:
    train = [
        _row(
            f"{STORY}\n\nWhat is the name of the {place}?",
            f"It is {place} Hill",
            document=STORY,
            aspect="question",
            group=str(at % 7),
        )
        for at, place in enumerate(["town", "school", "street", "shop"] * 10)
    ]
    (retrieval,) = baselines_for("assistant", train, seed=1)
    asked = _row("Another text.\n\nWhat is the name of the school?", "", document="Another text.", aspect="question")
    assert retrieval.answers([asked]) == ["It is school Hill"]
