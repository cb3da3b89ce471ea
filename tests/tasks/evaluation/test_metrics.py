import random
from pathlib import Path

import pytest

from tasks.evaluation.metrics import DistinctN, MemorisedShare, MinimalPairAccuracy, RepetitionShare, SelfBleu

pytestmark = pytest.mark.usefixtures("workspace")

WORDS = [f"w{n}" for n in range(60)]


def test_distinct_n_by_hand() -> None:
    # "a b a b": ab ba ab; "a b c": ab bc -> 3 different of 5; case does not count
    texts = ["a b A b", "a b c"]
    assert DistinctN().compute(predictions=texts, n=2) == {"distinct_2": pytest.approx(3 / 5)}
    assert DistinctN().compute(predictions=texts, n=3) == {"distinct_3": pytest.approx(3 / 3)}
    assert DistinctN().compute(predictions=["word", ""], n=2) == {"distinct_2": 0}


def test_repetition_by_hand() -> None:
    # "a b a b a": ab ba ab ba -> half of them stand before; the other text has none; one too short counts 0
    assert RepetitionShare().compute(predictions=["a b a b a", "a b c"], n=2) == {"repetition_2": pytest.approx(0.25)}
    assert RepetitionShare().compute(predictions=["a"], n=2) == {"repetition_2": 0.0}


def test_self_bleu_of_the_same_text_is_100_and_of_strangers_low() -> None:
    same = ["Once there was a little dog who ran home."] * 3
    assert SelfBleu().compute(predictions=same)["self_bleu"] == pytest.approx(100)
    strangers = [" ".join(WORDS[at : at + 10]) for at in range(0, 30, 10)]
    assert SelfBleu().compute(predictions=strangers)["self_bleu"] < 5


def test_self_bleu_is_the_mean_of_sacrebleu_s_sentence_bleu() -> None:
    import sacrebleu

    rng = random.Random(0)  # noqa: S311 - no secret
    for _ in range(30):
        texts = [
            " ".join(rng.choices(["a", "b", "c.", '"d', "it's", "<skipped>"], k=rng.randrange(9))) for _ in range(4)
        ]
        texts += rng.sample(texts, k=1)  # the same text again
        told = [(text, texts[:at] + texts[at + 1 :]) for at, text in enumerate(texts) if text]
        scores = [sacrebleu.sentence_bleu(text, others).score for text, others in told]
        expected = sum(scores) / max(1, len(scores))
        assert SelfBleu().compute(predictions=texts)["self_bleu"] == pytest.approx(expected, rel=1e-12)


def test_minimal_pairs_a_tie_is_one_half() -> None:
    score = MinimalPairAccuracy().compute(predictions=[1.0, 2.0, 3.0, 5.0], references=[2.0, 2.0, 1.0, 9.0])
    assert score == {"accuracy": pytest.approx((1 + 0.5 + 0 + 1) / 4)}


def test_memorised_share_finds_a_planted_copy() -> None:
    training = [" ".join(WORDS[:40]), "something else altogether"]
    own = [f"own{n}" for n in range(17)]
    # 20 words copied (8 13-grams, all known), then 17 of one's own: 25 13-grams in all
    text = " ".join([*WORDS[5:25], *own])
    score = MemorisedShare().compute(predictions=[text], training=iter(training), n=13)
    assert score == {"memorised_share": pytest.approx(8 / 25)}
    fresh = MemorisedShare().compute(predictions=[" ".join(own)], training=iter(training), n=13)
    assert fresh == {"memorised_share": 0.0}


@pytest.mark.parametrize("metric", [DistinctN, RepetitionShare, SelfBleu, MemorisedShare])
def test_empty_stories_are_no_error(metric: type) -> None:
    assert list(metric().compute(predictions=["", " "]).values()) == [0.0]


def test_nothing_is_left_in_the_home_folder(workspace: Path) -> None:
    DistinctN().compute(predictions=["a b c"])
    assert not list((workspace.parent / "home").rglob("*"))
