"""Which preferences stay."""

from collections import Counter
from typing import Any

import pytest

from tasks.pairing import selection
from tasks.pairing.preference import Preference


def preference(number: int = 0, *, chosen: int = 3, rejected: int = 5, **changes: Any) -> Preference:
    """Answers of so many words."""
    values: dict[str, Any] = {
        "prompt_id": f"p{number}", "kind": "story", "prompt": f"Tell me of {number} boats on the wide blue sea.",
        "chosen": f"good{number} " * chosen, "rejected": f"bad{number} " * rejected, "source": "judge", "margin": 0.5,
    }  # fmt: skip
    return Preference(**{**values, **changes})


def test_people_go_before_the_judge() -> None:
    rejected: Counter[str] = Counter()
    judged = [preference(0), preference(1)]
    assert selection.without_decided(judged, {judged[0].texts}, rejected) == judged[1:]
    assert rejected == {"overruled": 1}


def test_a_prompt_near_to_a_held_out_one_is_left_out() -> None:
    rejected: Counter[str] = Counter()
    found = [preference(0), preference(1, prompt="Write about a cat that learns to swim in a pond.")]
    held_out = {"h": "Write about a cat that learns to swim in a pond!"}
    clusters = selection.clusters(found, held_out, jaccard=0.6)
    assert selection.without_leaks(found, clusters, rejected) == found[:1]
    assert rejected == {"contaminated": 1}


def test_near_prompts_are_one_cluster() -> None:
    found = [preference(0, prompt="A dog met a big cat."), preference(1, prompt="A dog met a big cat!")]
    assert len(set(selection.clusters(found, {}, jaccard=0.6).values())) == 1


def test_a_prompt_gives_no_more_than_its_share_and_people_come_first() -> None:
    rejected: Counter[str] = Counter()
    judged = [preference(0, chosen=n, rejected=n, margin=n / 10) for n in (1, 2, 3)]
    people = preference(0, chosen=9, source="human")
    kept = selection.capped([*judged, people], most=2, rejected=rejected)
    assert kept == [judged[2], people]
    assert rejected == {"over_cap": 2}


def test_neither_the_long_nor_the_short_answer_is_learnt_to_be_better() -> None:
    rejected: Counter[str] = Counter()
    longer = [preference(n, chosen=9, margin=n / 100) for n in range(30)]
    shorter = [preference(n, chosen=1) for n in range(100, 110)]
    kept = selection.balanced([*longer, *shorter], off_half=0.05, rejected=rejected)
    assert selection.longer_share(kept) == pytest.approx(0.55, abs=0.02)
    assert all(one in kept for one in shorter)
    assert min(one.margin for one in kept if one.chosen_is_longer) > 0.1  # the least sure went
    assert rejected["length_balance"] == 40 - len(kept)


def test_what_people_said_is_not_thrown_away_for_its_length() -> None:
    people = [preference(n, chosen=9, source="human") for n in range(9)]
    assert selection.balanced(people, off_half=0.05, rejected=Counter()) == people


def test_answers_that_differ_in_spaces_are_no_pair() -> None:
    rejected: Counter[str] = Counter()
    same = Preference(prompt_id="p", kind="story", prompt="Tell me.", chosen="a b", rejected=" a  b\n", source="judge")
    assert selection.without_same_texts([same], rejected) == []
    assert rejected == {"same_text": 1}
