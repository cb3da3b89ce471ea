"""What is chosen for people: the uncertain and the disputed first, balanced, nothing twice."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from tasks.judging.records import Item, PairRecord, RankRecord
from tasks.reviews.candidates import Candidate, Judged, candidates, chosen, read_judged
from tasks.reviews.kinds import Kind
from tests.conftest import refused
from tests.tasks.judging.contests import JUDGE, grades, item, verdict
from tests.tasks.reviews.outputs import answers, pair, write_outputs

ONE, TWO, THREE = (item("base", "a fox", f"Answer {number}.") for number in range(1, 4))


def urgency(judged: Judged, kind: Kind = "choice", doubts: dict[str, float] | None = None) -> float:
    return next(one.urgency for one in candidates(judged, doubts=doubts or {}) if one.kind == kind)


def on_pair(*records: PairRecord) -> Judged:
    return Judged(items=[ONE, TWO], pairs=records)


def test_the_less_sure_a_judge_the_more_urgent() -> None:
    sure, unsure, tie = (urgency(on_pair(pair(ONE, TWO, margin))) for margin in (0.9, -0.1, 0.0))
    assert sure < unsure < tie == urgency(on_pair(verdict(ONE, TWO, None))) == 1


def test_what_the_order_decided_is_as_urgent_as_a_tie() -> None:
    flipped = replace(verdict(ONE, TWO, "tie", flipped=True), margin=0.8)
    assert urgency(on_pair(flipped)) == 1


def test_judges_who_differ_make_it_more_urgent_than_any_doubt_of_one() -> None:
    differ = on_pair(pair(ONE, TWO, 0.9), replace(pair(TWO, ONE, 0.9), judge="another"))
    agree = on_pair(pair(ONE, TWO, 0.9), replace(pair(TWO, ONE, -0.9), judge="another"))
    assert urgency(differ) > 1 > urgency(agree)


def test_axes_that_differ_make_it_more_urgent() -> None:
    one_way = replace(pair(ONE, TWO, 0.5), axes={"grammar": "first", "plot": "first"})
    both_ways = replace(one_way, axes={"grammar": "first", "plot": "second"})
    assert urgency(on_pair(both_ways)) == urgency(on_pair(one_way)) + 1


def test_people_who_decided_otherwise_before_make_it_more_urgent() -> None:
    judged = on_pair(pair(ONE, TWO, 0.5))
    assert urgency(judged, doubts={ONE.prompt_id: 0.75}) == urgency(judged) + 0.75


def test_answers_that_say_the_same_or_nothing_are_no_choice() -> None:
    same, empty = replace(TWO, answer="answer 1!"), replace(TWO, answer=" ...")
    for other in (same, empty):
        judged = Judged(items=[ONE, other], pairs=[pair(ONE, other, 0.1)], scores=[grades(empty, {"a": 3})])
        assert candidates(judged, doubts={}) == []


def test_a_ranking_wants_three_answers_that_differ() -> None:
    def ranked(*items: Item) -> Judged:
        ids = tuple(one.id for one in items)
        record = RankRecord(judge=JUDGE, items=ids, status="ok", tiers=tuple((one,) for one in ids))
        return Judged(items=items, rankings=[record])

    assert [one.kind for one in candidates(ranked(ONE, TWO, THREE), doubts={})] == ["ranking"]
    assert candidates(ranked(ONE, TWO), doubts={}) == []


def test_a_rating_is_most_wanted_in_the_middle_a_correction_near_to_right() -> None:
    items = [item("base", f"prompt {level}", f"Answer {level}.") for level in (1, 3, 4, 5)]
    judged = Judged(items=items, scores=[grades(one, {"a": at}) for one, at in zip(items, (1, 3, 4, 5), strict=True)])
    found = candidates(judged, doubts={})
    by_urgency = {
        kind: [one.judge["scores"]["a"] for one in sorted(found, key=lambda one: -one.urgency) if one.kind == kind]
        for kind in ("rating", "correction")
    }
    assert by_urgency["rating"][0] == 3
    assert by_urgency["correction"] == [4, 3, 1]  # 5 has nothing to correct


def test_what_a_reference_says_has_nothing_to_correct() -> None:
    right = replace(ONE, references=("Another one.", "answer 1"))
    judged = Judged(items=[right], scores=[grades(right, {"a": 2})])
    assert [one.kind for one in candidates(judged, doubts={})] == ["rating"]


def test_what_the_judge_said_is_kept_with_its_name() -> None:
    found = candidates(on_pair(pair(ONE, TWO, -0.4)), doubts={})
    assert found[0].judge == {"judge": JUDGE, "winner": TWO.id}
    found = candidates(on_pair(verdict(ONE, TWO, None)), doubts={})
    assert found[0].judge == {"judge": JUDGE, "status": "parse_error"}


def made(tmp_path: Path) -> list[Candidate]:
    outputs = write_outputs(tmp_path)
    judged = read_judged(
        "labelled", sampled=outputs.sampled, labelled=outputs.labelled, judged=outputs.judged, gated=outputs.gated
    )
    return candidates(judged, doubts={})


SHARES: dict[Kind, float] = {"choice": 0.6, "ranking": 0.15, "rating": 0.15, "correction": 0.1}


def test_a_batch_has_the_kinds_in_their_shares_and_is_balanced(tmp_path: Path) -> None:
    picked = chosen(made(tmp_path), shares=SHARES, count=20, seed=1)
    assert Counter(one.kind for one in picked) == {"choice": 12, "ranking": 3, "rating": 3, "correction": 2}
    assert Counter(one.answers[0].kind for one in picked if one.kind == "choice") == {"story": 6, "translation": 6}
    assert max(Counter(one.prompt for one in picked).values()) <= 2  # 12 prompts, 20 items


def test_models_are_balanced_too() -> None:
    items = answers(12, models=("base", "finetuned"))
    judged = Judged(items=items, scores=[grades(one, {"a": 3 if one.by == "base" else 1}) for one in items])
    picked = chosen(candidates(judged, doubts={}), shares={"rating": 1.0}, count=8, seed=1)
    assert Counter(one.answers[0].by for one in picked) == {"base": 4, "finetuned": 4}


def test_no_two_answers_are_together_twice_and_kinds_are_mixed(tmp_path: Path) -> None:
    picked = chosen(made(tmp_path), shares=SHARES, count=40, seed=1)
    together = [two for one in picked for two in one.together]
    assert len(together) == len(set(together))
    first_half = Counter(one.kind for one in picked[:20])
    assert all(2 * first_half[kind] >= count - 1 for kind, count in Counter(one.kind for one in picked).items())


def test_the_most_urgent_of_a_kind_come_first() -> None:
    items = answers(8, models=("base", "finetuned"))
    pairs = [pair(items[at], items[at + 1], at / 20) for at in range(0, 16, 2)]
    picked = chosen(candidates(Judged(items=items, pairs=pairs), doubts={}), shares={"choice": 1.0}, count=4, seed=1)
    assert sorted(one.prompt for one in picked) == sorted(one.prompt_id for one in items[:8:2])


def test_what_a_kind_has_too_few_of_the_others_make_up_for() -> None:
    items = answers(6, models=("base", "finetuned"))
    judged = Judged(items=items, pairs=[pair(items[at], items[at + 1], 0.5) for at in range(0, 12, 2)])
    picked = chosen(candidates(judged, doubts={}), shares=SHARES, count=6, seed=1)
    assert Counter(one.kind for one in picked) == {"choice": 6}


def test_the_same_seed_chooses_the_same(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert chosen(found, shares=SHARES, count=10, seed=1) == chosen(found[::-1], shares=SHARES, count=10, seed=1)
    assert chosen(found, shares=SHARES, count=10, seed=1) != chosen(found, shares=SHARES, count=10, seed=2)


def test_outputs_that_are_missing_are_named(tmp_path: Path) -> None:
    with refused(r"sampled\.jsonl: no such file; the chain makes it"):
        read_judged("labelled", sampled=tmp_path / "sampled.jsonl", labelled=tmp_path, judged=tmp_path, gated=tmp_path)
