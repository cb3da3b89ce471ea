from tasks.evaluation.pairs import MinimalPair
from tasks.judging.examination.grammar import grammar_check
from tasks.judging.records import Item
from tests.tasks.judging.examination.fake import BOOTSTRAP, LEAST, RUBRIC, FakeJudge, abstaining

PAIRS = [
    MinimalPair(good="It was fun.", bad="It were fun.", phenomenon="agreement"),
    MinimalPair(good="They were here.", bad="They was here.", phenomenon="agreement"),
    MinimalPair(good="A cat ran.", bad="An cat ran.", phenomenon="article"),
    MinimalPair(good="An owl ran.", bad="A owl ran.", phenomenon="article"),
]


def hates_were(item: Item) -> float:
    return 1.0 if "were" in item.answer or "An cat" in item.answer or "A owl" in item.answer else 5.0


def test_accuracy_is_that_of_the_axis_and_the_lowest_phenomenon_is_named() -> None:
    check = grammar_check(FakeJudge(hates_were), RUBRIC, PAIRS, origin="", limit=LEAST, bootstrap=BOOTSTRAP)
    assert (check.name, check.axis, check.value, check.count) == ("grammar_accuracy", "grammar", 0.75, 4)
    assert check.note.endswith("lowest: agreement 0.50, article 1.00")
    assert check.passed is True


def test_a_file_has_a_row_of_its_own_and_an_abstention_no_figure() -> None:
    check = grammar_check(FakeJudge(abstaining), RUBRIC, PAIRS, origin="zorro", limit=LEAST, bootstrap=BOOTSTRAP)
    assert (check.name, check.value, check.status) == ("grammar_zorro_accuracy", None, "not_run")


def test_the_right_sentence_is_shown_in_both_places() -> None:
    seen: list[str] = []
    judge = FakeJudge(lambda item: seen.append(item.by) or 3.0)  # type: ignore[func-returns-value]
    grammar_check(judge, RUBRIC, PAIRS, origin="", limit=LEAST, bootstrap=BOOTSTRAP)
    assert seen[::2] == ["real", "agreement", "real", "article"]


def test_it_is_the_winner_on_the_axis_that_counts() -> None:
    judge = FakeJudge(hates_were, blind_on="grammar")
    assert grammar_check(judge, RUBRIC, PAIRS, origin="", limit=LEAST, bootstrap=BOOTSTRAP).value == 0.5
