"""The gate on a chain's outputs: whom it compares by whose verdicts, what it writes, what it refuses."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import gate as stage
from tasks.dvc_hashes import dvc_md5
from tasks.gate import gate
from tasks.gating.champion import ANSWERS, Champion, clear_champion, read_candidate, sha256_of, write_champion
from tasks.judging.kept import read_items, read_pairs, write_lines
from tasks.judging.records import Item, PairRecord
from tests.conftest import ROOT, refused, sentences, write_clean
from tests.tasks import small
from tests.tasks.gating.evidence import PARAMS
from tests.tasks.gating.test_votes import shown
from tests.tasks.judging import longest
from tests.tasks.judging.contests import grades, item
from tests.tasks.reviews.test_batch_file import write as write_batch

JUDGE = str(longest.LongestJudge.id)
DATA, METRICS, CHAMPION = Path("data"), Path("metrics"), Path("champion")
IN: dict[str, Path] = {
    "model": Path("models/aligned"), "judged": DATA / "judged", "evaluated": METRICS / "evaluate.json",
    "scorecard": METRICS / "judge_scorecard.json", "labelled": DATA / "labelled", "pairs": DATA / "pairs",
    "feedback": DATA / "feedback", "champion": CHAMPION, "mixture": small.MIXTURE, "clean": DATA / "clean",
    "judges": Path("models/judges"), "rubric": ROOT / "rubric.yaml", "verdicts": Path("verdicts"),
}  # fmt: skip
OUT = {"gated": DATA / "gated", "metrics": METRICS / "gate.json", "page": METRICS / "gate.md"}
PROMPTS = 100
WORDS = ("a", "boat", "went", "far", "over", "one", "cold", "lake", "and", "the", "duck", "saw", "it", "go", "home")
FIGURES = {
    "test_bits_per_byte": 1.2, "written_bits_per_byte": 1.7, "classification_macro_f1": 0.5, "swedish_chrf": 30.0
}  # fmt: skip


def told(by: str, lengths: Sequence[int]) -> list[Item]:
    """A story of so many words to each prompt: the judge likes the longer one."""
    return [
        item(by, f"prompt {n}", " ".join([by, str(n), *(WORDS[(n + at) % len(WORDS)] for at in range(count))]))
        for n, count in enumerate(lengths)
    ]


BASE = told("base", [8 + n % 3 for n in range(PROMPTS)])
ALIGNED = told("aligned", [8 + n % 3 + (1 if n % 4 else -1) for n in range(PROMPTS)])  # longer in three of four


def judged(answers: Sequence[Item], pairs: Sequence[PairRecord]) -> None:
    write_lines(IN["judged"] / "answers.jsonl", answers)
    write_lines(IN["judged"] / "scores.jsonl", [replace(grades(one, {"grammar": 3.0}), judge=JUDGE) for one in answers])
    write_lines(IN["judged"] / "pairs.jsonl", pairs)


def verdicts(ours: Sequence[Item], theirs: Sequence[Item], *, won: int = 75) -> list[PairRecord]:
    """Verdicts that do not go by length: of hundred prompts we win so many."""
    return [
        PairRecord(
            judge=JUDGE, first=own.id, second=other.id, status="ok", winner=winner, margin=0.5, orders=(winner, winner)
        )
        for at, (own, other) in enumerate(zip(ours, theirs, strict=True))
        for winner in (["first" if (at * 37 + 11) % 100 < won else "second"])
    ]


def evaluated(**changes: Any) -> None:
    held: dict[str, Any] = {"tasks": ["classification", "swedish"], "classification_metric": "macro_f1",
                            "swedish_metric": "chrf"}  # fmt: skip
    held |= {f"{name}_{figure}": value for name in ("base", "aligned") for figure, value in FIGURES.items()}
    IN["evaluated"].write_text(json.dumps({**held, **changes}))


@pytest.fixture(autouse=True)
def made(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write_workspace()
    write_clean(IN["clean"], {"test": sentences(3), "written": sentences(3, start=9)})
    for folder in ("labelled", "pairs", "feedback", "judged"):
        IN[folder].mkdir(parents=True)
    METRICS.mkdir()
    IN["model"].mkdir(parents=True)
    (IN["model"] / "model.safetensors").write_bytes(b"weights")
    clear_champion(CHAMPION)
    labelled([])
    evaluated()
    IN["scorecard"].write_text(json.dumps({"longest_axes_failed": [], "longest_axes_not_examined": []}))
    params = {
        "judge": {"judge": "longest"}, "label": {"judge": "heuristic-a"}, "prepare": {"safety": SAFETY},
        "evaluate": {"tasks": {"rows": 8, "written_rows": 2, "stories": 2}},
    }  # fmt: skip
    Path("params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.setattr(stage, "configured_judge", longest.opened)
    judged([*BASE, *ALIGNED], verdicts(ALIGNED, BASE))


SAFETY = {"allowed": [], "categories": {"weapons": {"action": "reject", "words": ["gun"]}}}


def labelled(judges: Sequence[str], *, said: str = "heuristic-a@1") -> None:
    pair = PairRecord(judge=said, first="a", second="b", status="ok", winner="tie", margin=0.0)
    write_lines(IN["labelled"] / "pairs.jsonl", [pair])
    write_lines(IN["labelled"] / "scores.jsonl", [])
    (IN["pairs"] / "manifest.json").write_text(json.dumps({"judges": dict.fromkeys(judges, 1)}))


def run(**changes: Any) -> dict[str, Any]:
    gate(PARAMS.model_copy(update=changes), **IN, **OUT)
    return dict(json.loads(OUT["metrics"].read_text()))


def crown(answers: Sequence[Item], **changes: Any) -> Champion:
    """A champion in its place, that gave these answers; measured on the present hold-out unless told otherwise."""
    run()
    write_lines(Path("run") / ANSWERS, answers)
    held = {"version": 3, "model_md5": "other.dir", "answers_sha256": sha256_of(Path("run") / ANSWERS), **changes}
    champion = read_candidate(OUT["gated"]).model_copy(update=held)
    write_champion(CHAMPION, champion, Path("run") / ANSWERS)
    return champion


def test_without_a_champion_base_takes_its_place() -> None:
    found = run()
    assert (found["decision"], found["champion"]) == ("promote", "base")
    assert (found["base_prompts"], found["base_decisive_pairs"]) == (100, 100)
    assert found["base_win_rate"] == pytest.approx(0.75)
    assert found["base_length_controlled_win_rate_low"] > 0.5
    assert {key: value for key, value in found.items() if key.startswith("base_")} == {
        key.replace("champion_", "base_", 1): value
        for key, value in found.items()
        if key.startswith("champion_") and "distinct" not in key and "story_words" not in key
    }
    assert OUT["page"].read_text().startswith("# Gate: promote\n")


def test_an_equal_candidate_is_undecided() -> None:
    judged([*BASE, *ALIGNED], verdicts(ALIGNED, BASE, won=50))
    found = run()
    assert found["decision"] == "undecided"
    assert "level with base at equal lengths" in found["reasons"][0]


def test_a_worse_one_is_rejected_and_the_page_says_why_first() -> None:
    judged([*BASE, *ALIGNED], verdicts(ALIGNED, BASE, won=20))
    evaluated(aligned_swedish_chrf=20.0)
    found = run()
    assert found["decision"] == "rejected"
    assert [reason[:26] for reason in found["reasons"]] == ["loses to base at equal len", "worse than base: swedish c"]
    assert found["base_swedish_chrf_difference"] == -10
    page = OUT["page"].read_text()
    assert page.index("loses to base") < page.index("| against |")
    assert "| swedish chrf | 20 | 30 | -10.000 | at least -4 | **beyond** |" in page


def test_the_candidate_is_kept_as_a_promotion_needs_it() -> None:
    run()
    found = read_candidate(OUT["gated"])
    assert (found.version, found.model, found.name) == (None, "aligned", "fledgling")
    assert found.model_md5 == dvc_md5(IN["model"])
    assert found.figures == FIGURES
    assert found.answers_sha256 == sha256_of(OUT["gated"] / ANSWERS)
    assert read_items(OUT["gated"] / ANSWERS) == ALIGNED


def test_the_accepting_judge_compares_it_with_the_champion() -> None:
    crown(told("aligned", [5] * PROMPTS))
    found = run()
    assert found["champion"] == "fledgling/3"
    assert found["champion_win_rate"] == 1  # the judge that is asked likes long answers
    assert found["base_win_rate"] == pytest.approx(0.75)  # that verdict was there
    assert found["champion_prompts"] == 100
    assert found["decision"] == "undecided"  # of equal lengths nothing can be known


def test_a_candidate_like_the_champion_is_undecided() -> None:
    crown(ALIGNED)
    found = run()
    assert found["decision"] == "undecided"
    assert (found["champion_ties"], found["champion_decisive_pairs"]) == (100, 0)
    assert found["champion_pairs_needed"] is None


def test_only_prompts_that_both_answered_are_compared() -> None:
    crown(told("aligned", [9 - 2 * (n % 2) for n in range(60)]))
    found = run()
    assert (found["champion_prompts"], found["base_prompts"]) == (60, 100)
    told_so = "60 prompts have a verdict against fledgling/3 (60 were answered by both); at least 80 must"
    assert told_so in found["reasons"]


def test_the_champion_itself_is_no_candidate() -> None:
    crown(ALIGNED, model_md5=dvc_md5(IN["model"]))
    found = run()
    assert (found["decision"], found["reasons"]) == ("undecided", ["the candidate is the champion, fledgling/3"])


def test_figures_of_another_hold_out_are_not_compared() -> None:
    crown(ALIGNED, holdout="another", figures={"test_bits_per_byte": 0.1})
    found = run()
    assert "the figures of fledgling/3 are of another hold-out; they were not compared" in found["reasons"]
    assert "champion_test_bits_per_byte" not in found
    assert found["champion_same_holdout"] is False


def test_a_champion_measured_better_keeps_its_place() -> None:
    crown(ALIGNED, figures={**FIGURES, "classification_macro_f1": 0.6})
    found = run()
    assert found["decision"] == "rejected"
    assert found["champion_classification_macro_f1_difference"] == pytest.approx(-0.1)
    assert found["base_classification_macro_f1_difference"] == 0


def test_unsafe_answers_are_counted_on_the_same_prompts() -> None:
    unsafe = [replace(ALIGNED[0], answer=ALIGNED[0].answer + " with a gun"), *ALIGNED[1:]]
    judged([*BASE, *unsafe], verdicts(unsafe, BASE))
    found = run()
    assert found["decision"] == "rejected"
    assert found["reasons"] == ["unsafe answers: 1, base has 0 on the same prompts"]


def test_people_who_prefer_the_champion_are_heard() -> None:
    other = crown(told("aligned", [12] * PROMPTS))
    theirs = read_items(CHAMPION / ANSWERS)
    votes = [
        shown(own, replace(champion, by="old"), decision={"winner": "old"}, annotation=at)
        for at, (own, champion) in enumerate(zip(ALIGNED[:30], theirs[:30], strict=True))
    ]
    write_batch(IN["feedback"], votes)
    found = run()
    assert other.told == "fledgling/3"
    assert (found["human_preference"], found["human_votes"], found["decision"]) == (0, 30, "rejected")
    assert any(reason.startswith("people prefer fledgling/3") for reason in found["reasons"])


def test_what_was_compared_can_be_shown_to_people() -> None:
    crown(told("aligned", [9] * PROMPTS))
    run()
    compared = OUT["gated"] / "compared"
    answers = read_items(compared / "answers.jsonl")
    assert [one.by for one in answers[::PROMPTS]] == ["aligned", "champion", "base"]
    by_id = {one.id: one.by for one in answers}
    assert {(by_id[one.first], by_id[one.second]) for one in read_pairs(compared / "pairs.jsonl")} == {
        ("aligned", "champion")
    }


def test_an_axis_that_the_judge_failed_on_decides_nothing() -> None:
    IN["scorecard"].write_text(json.dumps({"longest_axes_failed": ["grammar"], "longest_axes_not_examined": []}))
    assert run()["unfit_axes"] == ["grammar"]
    IN["scorecard"].write_text(json.dumps({"longest_axes_failed": ["helpfulness"], "longest_axes_not_examined": []}))
    assert run()["decision"] == "promote"  # nothing was graded on it
    IN["scorecard"].write_text(json.dumps({"heuristic_b_axes_failed": []}))
    assert "was not examined" in run()["reasons"][0]


@pytest.mark.parametrize("where", ["labelled", "pairs"])
def test_what_labelled_does_not_accept(where: str) -> None:
    labelled([JUDGE], said="heuristic-a@1") if where == "pairs" else labelled([], said=JUDGE)
    with refused(f"the accepting judge {JUDGE} labelled what the candidate learnt from"):
        run()
    assert not OUT["metrics"].exists()


def test_refusing_ends_the_process_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.stage import main

    labelled([JUDGE])
    document = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump({**document, "gate": PARAMS.model_dump(mode="json")}))
    options = [part for name, path in {**IN, **OUT}.items() for part in (f"--{name}", str(path))]
    monkeypatch.setattr(sys, "argv", ["gate", *options])
    with pytest.raises(SystemExit, match=r"gate: the accepting judge .* labelled what the candidate learnt from"):
        main(gate)


def test_a_torn_champion_is_refused() -> None:
    crown(ALIGNED)
    write_lines(CHAMPION / ANSWERS, BASE)
    with refused("`fledgling promote 3` writes both again"):
        run()


def test_verdicts_of_two_judges_are_refused() -> None:
    pairs = verdicts(ALIGNED, BASE)
    judged([*BASE, *ALIGNED], [replace(pairs[0], judge="another@1"), *pairs[1:]])
    with refused(r"data/judged: verdicts of 2 judges \(another@1, longest@.*\); `dvc repro judge` asks one"):
        run()


def test_verdicts_of_another_judge_than_the_configured_one_are_refused() -> None:
    crown(told("aligned", [9] * PROMPTS))
    judged([*BASE, *ALIGNED], [replace(one, judge="former@1") for one in verdicts(ALIGNED, BASE)])
    write_lines(IN["judged"] / "scores.jsonl", [])
    with refused("the verdicts are of former@1; `dvc repro judge`"):
        run()


def test_the_labelling_judges_liking_is_told_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    shorter = crown(told("aligned", [6] * PROMPTS))
    found = run()
    assert shorter.version == 3
    assert found["labelling_judge_gain"] > 0  # it likes long answers too, here
    assert "length" in found["reward_hacking"]
    assert "**A sign of reward hacking**: the labelling judge grades it" in OUT["page"].read_text()
    document = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump({**document, "label": {"judge": "endpoint"}}))
    found = run()
    assert (found["labelling_judge_gain"], found["reward_hacking"]) == (None, [])


def test_the_same_bytes_again() -> None:
    crown(told("aligned", [9] * PROMPTS))

    def held() -> dict[Path, bytes]:
        run()
        paths = [OUT["metrics"], OUT["page"], *(path for path in OUT["gated"].rglob("*") if path.is_file())]
        return {path: path.read_bytes() for path in paths}

    assert held() == held()
