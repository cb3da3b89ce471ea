import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tasks.evaluation.intervals import Bootstrap
from tasks.judging.comparison import leaderboard
from tasks.judging.records import Item, PairRecord, ScoreRecord, Winner
from tasks.judging.report.examples import best_and_worst, find_examples, flipped
from tasks.judging.report.page import write_report
from tasks.judging.report.scorecard import may_not_decide, read_scorecards
from tasks.judging.rubric import Rubric, load_rubric
from tests.conftest import ROOT
from tests.tasks.judging.contests import contest, grades, item, verdict

DRAWN = Bootstrap(resamples=200, confidence=0.95, seed=3)
W: Winner = "first"
T: Winner = "tie"
L: Winner = "second"

SCORECARD: dict[str, Any] = {
    "heuristic_a_misspelling": 0.9,
    "heuristic_a_axes_failed": [],
    "heuristic_b_misspelling": 0.97,
    "heuristic_b_misspelling_low": 0.93,
    "heuristic_b_misspelling_high": 0.99,
    "heuristic_b_misspelling_count": 120,
    "heuristic_b_misspelling_threshold": 0.85,
    "heuristic_b_misspelling_passed": True,
    "heuristic_b_off_topic": 0.5,
    "heuristic_b_off_topic_threshold": 0.8,
    "heuristic_b_off_topic_passed": False,
    "heuristic_b_longer_wins": 0.44,
    "heuristic_b_people": None,
    "heuristic_b_people_status": "not_run",
    "heuristic_b_axes_failed": ["choice_of_story"],
    "heuristic_b_axes_not_examined": ["helpfulness"],
}


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


@pytest.fixture(scope="module")
def rubric() -> Rubric:
    return load_rubric(ROOT / "rubric.yaml")


def write(
    path: Path,
    rubric: Rubric,
    answers: list[Item],
    pairs: list[PairRecord],
    scores: list[ScoreRecord] | None = None,
    *,
    scorecard: dict[str, Any] | None = None,
) -> str:
    held = [grades(found, {"grammar": 4.0, "choice_of_story": 3.0, "creativity": 2.0}) for found in answers]
    scores = held if scores is None else scores
    write_report(
        path / "judge.html",
        leaderboard=leaderboard(answers, scores, pairs, bootstrap=DRAWN, models=("old", "new")),
        scorecard=SCORECARD if scorecard is None else scorecard,
        answers=answers,
        scores=scores,
        pairs=pairs,
        rubric=rubric,
    )
    return (path / "judge.html").read_text(encoding="utf-8")


def test_it_says_who_wins_by_how_much_and_what_may_not_decide(tmp_path: Path, rubric: Rubric) -> None:
    answers, pairs = contest("new", "old", [W] * 18 + [L] * 2)
    page = Page(write(tmp_path, rubric, answers, pairs))
    assert "new beats old: 90.0 % of 20 verdicts" in page.text
    assert "May not decide a promotion: choice of story." in page.text
    assert "60 of 60 judgements have a verdict (100.0%)" in page.text
    assert "4.00 [3.49, 4.17]" in page.text
    assert "heuristic b (judged here): 1 row passed, 1 failed, 1 without a threshold, 1 not run" in page.text


def test_it_asks_nothing_of_anybody(tmp_path: Path, rubric: Rubric) -> None:
    answers, pairs = contest("new", "old", [W, L, T])
    page = Page(write(tmp_path, rubric, answers, pairs))
    assert not {"script", "link", "img", "iframe", "object"}.intersection(tag for tag, _ in page.elements)
    addresses = [
        value for _, held in page.elements for name, value in held.items() if name in ("href", "src", "action")
    ]
    assert addresses
    assert all(str(address).startswith("#") for address in addresses)
    assert "default-src 'none'" in str(page.elements)
    assert not re.search(r"url\(|@import|http", "".join(page.words))


def test_an_answer_is_text_and_never_markup(tmp_path: Path, rubric: Rubric) -> None:
    evil = '<script>alert(1)</script><img src=x onerror="alert(2)">{{ 7 * 7 }}'
    ours, theirs = item("new", f"a {evil}", f"Mine. {evil}"), item("old", f"a {evil}", f"Old. {evil}")
    said = PairRecord(judge="j", first=ours.id, second=theirs.id, status="ok", winner=W, reason=f"since {evil}")
    refused = [ScoreRecord(judge="j", item=found.id, status="refused", reason=evil) for found in (ours, theirs)]
    text = write(tmp_path, rubric, [theirs, ours], [said], refused)
    page = Page(text)
    assert not {"script", "img"}.intersection(tag for tag, _ in page.elements)
    for start in ("Mine. ", "Old. ", "since ", "Tell of a ", "refused, "):
        assert start + evil in page.text
    assert page.text.count(evil) >= 6


def test_a_huge_answer_is_cut_and_counted(tmp_path: Path, rubric: Rubric) -> None:
    ours, theirs = item("new", "a", "x" * 100_000), item("old", "a")
    text = write(tmp_path, rubric, [theirs, ours], [verdict(ours, theirs, L)])
    assert len(text) < 40_000
    assert "and 96,000 characters more" in text
    assert "100,000 characters" in text


def test_the_same_verdicts_give_the_same_bytes(tmp_path: Path, rubric: Rubric) -> None:
    answers, pairs = contest("new", "old", [W, L, T, None])
    assert write(tmp_path, rubric, answers, pairs) == write(tmp_path, rubric, answers, pairs)


def test_without_a_verdict_or_a_scorecard_it_says_so(tmp_path: Path, rubric: Rubric) -> None:
    answers, pairs = contest("new", "old", [None, None])
    scores = [grades(found, None, status="unsupported") for found in answers]
    page = Page(write(tmp_path, rubric, answers, pairs, scores, scorecard={}))
    assert "new was not judged against old" in page.text
    assert "This judge was not examined." in page.text
    assert "No answer has a verdict." in page.text
    assert "abstained: not a text that this judge can read: 4" in page.text
    assert "nan" not in page.text.lower()


def test_one_model_alone_has_its_grades_shown(tmp_path: Path, rubric: Rubric) -> None:
    answers = [item("new", str(number)) for number in range(4)]
    scores = [grades(found, {"grammar": 1.0 + at}) for at, found in enumerate(answers)]
    found = find_examples(answers, scores, [], ["new"])
    assert [example.prompt.prompt_id for example in found] == ["3", "2", "1", "0"]
    assert "new of 3" in Page(write(tmp_path, rubric, answers, [], scores)).text


def test_of_three_models_the_newest_is_told_against_the_one_before_it(tmp_path: Path, rubric: Rubric) -> None:
    first, on_first = contest("new", "old", [L] * 9)
    second, on_second = contest("new", "mid", [W] * 9)
    answers = [*first, *(found for found in second if found.by == "mid")]
    board = leaderboard(answers, [], [*on_first, *on_second], bootstrap=DRAWN, models=("old", "mid", "new"))
    path = tmp_path / "judge.html"
    said: dict[str, Any] = {"scorecard": {}, "answers": answers, "scores": [], "rubric": rubric}
    write_report(path, leaderboard=board, pairs=[*on_first, *on_second], **said)
    page = Page(path.read_text())
    assert "new beats mid: 100.0 % of 9 verdicts" in page.text
    assert "mid was not judged against old" not in page.text


def test_the_best_and_the_worst_are_by_verdict_then_by_grade() -> None:
    answers, pairs = contest("new", "old", [L, W, T, W])
    ours = [found for found in answers if found.by == "new"]
    scores = [grades(found, {"grammar": level}) for found, level in zip(ours, (5.0, 2.0, 4.0, 3.0), strict=True)]
    found = find_examples(answers, scores, pairs, ["old", "new"])
    assert [example.prompt.prompt_id for example in found] == ["story 3", "story 1", "story 2", "story 0"]
    best, worst = best_and_worst(found, most=3)
    assert [example.prompt.prompt_id for example in best] == ["story 3", "story 1"]
    assert [example.prompt.prompt_id for example in worst] == ["story 0", "story 2"]


def test_how_it_was_decided_is_said() -> None:
    answers, pairs = contest("new", "old", [W, T, L])
    pairs[1] = verdict(answers[2], answers[3], T, flipped=True)
    same = [item(by, "same", "One text.") for by in ("old", "new")]
    found = find_examples([*answers, *same], [], pairs, ["old", "new"])
    told = {example.prompt.prompt_id: example.decision for example in found}
    assert told == {
        "story 0": "new won by a margin of 0.50 (of 1), with the same outcome in both orders.",
        "story 1": "A tie: in each order another one won, so that the order of showing decided.",
        "story 2": "old won by a margin of 0.50 (of 1), with the same outcome in both orders.",
        "same": "A tie: both gave the same text, which no judge was asked about.",
    }
    assert [example.prompt.prompt_id for example in flipped(found)] == ["story 1"]
    assert found[0].axes == {"grammar": "new"}


def test_the_scorecard_is_read_back_from_its_figures() -> None:
    first, second = read_scorecards(SCORECARD)
    assert (first.judge, second.judge) == ("heuristic_a", "heuristic_b")
    assert {row.name: row.outcome for row in second.rows} == {
        "misspelling": "passed", "off_topic": "failed", "longer_wins": "measured", "people": "not run",
    }  # fmt: skip
    row = second.rows[0]
    assert (row.value, row.low, row.high, row.threshold, row.count) == (0.97, 0.93, 0.99, 0.85, 120)
    assert second.axes_not_examined == ("helpfulness",)
    assert may_not_decide(SCORECARD, "heuristic-b@0badcafe") == ["choice_of_story"]
    assert may_not_decide(SCORECARD, "heuristic-a@0badcafe") == []
    assert may_not_decide({}, "heuristic-b@0badcafe") == []
