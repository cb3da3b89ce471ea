import math
import time

import numpy as np
import pytest

from tasks.evaluation.intervals import Bootstrap
from tasks.evaluation.task_metrics import (
    Accuracy,
    Bleu,
    ChrF,
    ConstraintsMet,
    ExactMatch,
    MacroF1,
    Meteor,
    RocAuc,
    Rouge,
    TokenF1,
)

pytestmark = pytest.mark.usefixtures("workspace")

DRAWN = Bootstrap(resamples=1_000, confidence=0.95, seed=1)
HYPOTHESES = ["the dog ran to the house", "a small bird sang", "", "she is happy now", "the moon was round"] * 12
REFERENCES = [
    ["the dog ran home", "the dog ran into the house"],
    ["a little bird sang"],
    ["nothing here", "no", "none at all"],
    ["she is happy now"],
    ["the sun was round and red", "a moon was there"],
] * 12


def test_accuracy_and_macro_f1_by_hand() -> None:
    said, true = ["a", "a", "b", "?"], [["a"], ["b"], ["b"], ["a"]]
    assert Accuracy().compute(predictions=said, references=true) == {"accuracy": 0.5}
    # a: 1 hit, 2 said, 2 true -> 1/2; b: 1 hit, 1 said, 2 true -> 2/3; "?" is no class; c is nowhere
    score = MacroF1().compute(predictions=said, references=true, labels=["a", "b", "c"])
    assert score == {"macro_f1": pytest.approx((1 / 2 + 2 / 3) / 2)}


def test_macro_f1_is_scikit_learns() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    true, said = (rng.choice(list("abcd"), 200, p=[0.6, 0.2, 0.15, 0.05]) for _ in range(2))
    score = MacroF1().compute(predictions=list(said), references=[[t] for t in true], labels=list("abcd"))
    assert score == {"macro_f1": pytest.approx(f1_score(true, said, average="macro"))}


def test_roc_auc_by_hand_a_tie_is_one_half() -> None:
    # of the pairs (yes, no): .9 > .8, .9 > .1, .8 = .8 one half, .8 > .1 -> 3.5 of 4
    likely = [[0.1, 0.9], [0.2, 0.8], [0.2, 0.8], [0.9, 0.1]]
    score = RocAuc().compute(predictions=likely, references=[["yes"], ["yes"], ["no"], ["no"]], labels=["no", "yes"])
    assert score == {"roc_auc": pytest.approx(3.5 / 4)}


def test_roc_auc_is_scikit_learns() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    true, likely = rng.integers(0, 3, 150), rng.dirichlet([1, 1, 1], 150).round(2)
    likely[:, 2] = 1 - likely[:, :2].sum(axis=1)
    score = RocAuc().compute(
        predictions=likely.tolist(), references=[[str(t)] for t in true], labels=["0", "1", "2"], bootstrap=DRAWN
    )
    assert score["roc_auc"] == pytest.approx(roc_auc_score(true, likely, multi_class="ovr"))
    assert score["roc_auc_low"] < score["roc_auc"] < score["roc_auc_high"]


def test_one_class_only_has_no_auc_and_an_f1() -> None:
    score = RocAuc().compute(predictions=[[0.3, 0.7]] * 3, references=[["b"]] * 3, labels=["a", "b"], bootstrap=DRAWN)
    assert all(math.isnan(value) for value in score.values())
    assert MacroF1().compute(predictions=["b"] * 3, references=[["b"]] * 3, labels=["a", "b"]) == {"macro_f1": 1.0}


def test_probabilities_of_another_number_of_labels_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 probabilities a row for 3 labels"):
        RocAuc().compute(predictions=[[0.5, 0.5]], references=[["a"]], labels=["a", "b", "c"])


def test_rouge_by_hand_with_stems_and_the_best_reference() -> None:
    # "dogs" and "dog" are one stem; 3 of 4 words, and of 3 -> F1 6/7; bigrams: "the dog", "dog ran" of 3 and 2
    score = Rouge().compute(predictions=["the dogs ran home"], references=[["a cat", "the dog ran"]])
    assert score["rouge_1"] == score["rouge_l"] == pytest.approx(6 / 7)
    assert score["rouge_2"] == pytest.approx(4 / 5)
    assert Rouge().compute(predictions=[""], references=[["the dog ran"]]) == {"rouge_1": 0, "rouge_2": 0, "rouge_l": 0}


def test_rouge_is_the_packages_own() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    own = RougeScorer(["rougeL"], use_stemmer=True)
    text, other = "The children were running happily, and nobody stopped them.", "A child ran happily and nobody stops."
    score = Rouge().compute(predictions=[text], references=[[other]])
    assert score["rouge_l"] == pytest.approx(own.score(other, text)["rougeL"].fmeasure)


def test_meteor_by_hand_by_exact_and_stem_matches() -> None:
    # 2 of 3 words match, in one chunk: F = 10PR/(R+9P) with P = R = 2/3; penalty .5 * (1/2)^3
    score = Meteor().compute(predictions=["dogs ran off"], references=[["dog ran away", "quite other words"]])
    assert score["meteor"] == pytest.approx(2 / 3 * (1 - 0.5 / 8))
    assert Meteor().compute(predictions=[""], references=[["a dog"]]) == {"meteor": 0.0}


def test_bleu_and_chrf_are_sacrebleus_with_several_references() -> None:
    from sacrebleu.metrics import BLEU, CHRF

    streams = [[row[at] if at < len(row) else None for row in REFERENCES] for at in range(3)]
    bleu = Bleu().compute(predictions=HYPOTHESES, references=REFERENCES)
    chrf = ChrF().compute(predictions=HYPOTHESES, references=REFERENCES)
    assert bleu["bleu"] == pytest.approx(BLEU().corpus_score(HYPOTHESES, streams).score)
    assert chrf["chrf"] == pytest.approx(CHRF().corpus_score(HYPOTHESES, streams).score)


@pytest.mark.parametrize(("metric", "name"), [(Bleu, "bleu"), (ChrF, "chrf")])
def test_corpus_scores_are_resampled_fast(metric: type, name: str) -> None:
    measure = metric().measures(HYPOTHESES * 5, REFERENCES * 5)[name]
    drawn = np.random.default_rng(0).integers(0, 3, size=(1_000, 300)).astype(float)
    started = time.process_time()
    values = measure.statistic(drawn)
    assert time.process_time() - started < 1
    rows = [at for at in range(300) for _ in range(int(drawn[0, at]))]  # the first resample, written out
    whole = metric().measures([(HYPOTHESES * 5)[at] for at in rows], [(REFERENCES * 5)[at] for at in rows])[name]
    assert values[0] == pytest.approx(whole.value)


def test_exact_match_and_token_f1_by_hand() -> None:
    said, wanted = ["The red ball!", "a big dog", ""], [["ball", "red ball"], ["the dog"], ["six"]]
    assert ExactMatch().compute(predictions=said, references=wanted) == {"exact_match": pytest.approx(1 / 3)}
    # 1; "big dog" against "dog": 2 * 1 / 3; 0
    assert TokenF1().compute(predictions=said, references=wanted) == {"token_f1": pytest.approx((1 + 2 / 3) / 3)}
    assert TokenF1().compute(predictions=["the"], references=[["a"]]) == {"token_f1": 1.0}  # articles alone: nothing


def test_constraints_by_hand() -> None:
    asked = ['{"words": ["run", "blue"], "length": [1, 3]}', '{"sentence": "It was fun."}', "{}"]
    score = ConstraintsMet().compute(predictions=["He ran far away", '"It was fun," he said', ""], references=asked)
    assert score == {
        "constraints_met": pytest.approx(2 / 4),  # ran and the sentence, not blue, not the length
        "all_constraints_met": pytest.approx(1 / 2),
        "words_constraints_met": pytest.approx(1 / 2),
        "sentence_constraints_met": 1.0,
        "length_constraints_met": 0.0,
    }


@pytest.mark.parametrize("metric", [Accuracy, MacroF1, Rouge, Meteor, Bleu, ChrF, ExactMatch, TokenF1])
def test_a_row_without_a_reference_is_an_error_that_names_it(metric: type) -> None:
    with pytest.raises(ValueError, match="row 1 has no reference"):
        metric().compute(predictions=["a", "b"], references=[["a"], []])


@pytest.mark.parametrize("metric", [Accuracy, Rouge, Meteor, Bleu, ChrF, ExactMatch, TokenF1])
def test_one_example_has_an_interval(metric: type) -> None:
    score = metric().compute(predictions=["the dog ran home"], references=[["the dog ran home"]], bootstrap=DRAWN)
    assert all(math.isfinite(value) for value in score.values())
