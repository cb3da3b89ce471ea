"""Scoring, comparing and ranking by a server process on this machine."""

import json
import logging
from pathlib import Path

import pytest

from tasks.judging.records import Pair
from tasks.judging.rubric import Rubric
from tasks.stage import UserError
from tests.tasks.judging.endpoint.server import Server, preference
from tests.tasks.judging.endpoint.small import KEY, RUBRIC, item, judge, kept, pair, section, worth

AXES = list(RUBRIC.story)


def test_an_answer_gets_a_level_with_its_reason_on_each_axis(server: Server) -> None:
    with judge(server.address) as asked:
        records = asked.score([worth(4), worth(2), item("good", kind="summarization")], RUBRIC)
    assert [record.status for record in records] == ["ok"] * 3
    assert {name: grade.score for name, grade in records[0].grades.items()} == {"grammar": 5, "creativity": 5}
    assert {name: grade.score for name, grade in records[2].grades.items()} == {"quality": 2}
    assert records[0].grades["grammar"].reason == "It has 4 good words."
    assert records[0].judge == str(asked.id)
    assert records[0].item == worth(4).id
    assert (asked.id.name, asked.id.revision, asked.source) == ("endpoint", "judge-1", "LLM_JUDGE")


def test_an_axis_that_needs_another_one_counts_only_where_that_is_good(server: Server) -> None:
    with judge(server.address) as asked:
        poor, fair = asked.score([worth(1), worth(2)], RUBRIC)
    assert (poor.grades["grammar"].score, poor.grades["creativity"].score) == (2, 1)
    assert "Level 2 does not count, for want of grammar" in poor.grades["creativity"].reason
    assert (fair.grades["grammar"].score, fair.grades["creativity"].score) == (3, 3)


def test_a_pair_is_asked_in_both_orders(server: Server) -> None:
    pairs = [pair(3, 1), pair(1, 3), pair(2, 2)]
    with judge(server.address) as asked:
        records = asked.compare(pairs, RUBRIC)
        swapped = asked.compare([each.swapped for each in pairs], RUBRIC)
    assert [record.winner for record in records] == ["first", "second", "tie"]
    assert [record.winner for record in swapped] == ["second", "first", "tie"]
    assert [record.orders for record in records] == [("first",) * 2, ("second",) * 2, ("tie",) * 2]
    assert [record.margin for record in records] == [1, -1, 0]
    assert records[0].axes == {"grammar": "first", "creativity": "first"}
    assert not any(record.is_flipped for record in records)
    assert len(server.asked) == 2 * len(pairs)  # a swapped pair is the same two questions


def test_where_the_order_decides_it_is_a_tie_and_counts_as_flipped(server: Server) -> None:
    server.rules({"when": "biased", "say": preference(AXES, "A")})
    with judge(server.address) as asked:
        biased, fair = asked.compare([pair(3, 1, name="biased"), pair(3, 1)], RUBRIC)
    assert (biased.winner, biased.margin, biased.is_flipped) == ("tie", 0, True)
    assert biased.orders == ("first", "second")
    assert biased.axes == {"grammar": "tie", "creativity": "tie"}
    assert "The order decided" in biased.reason
    assert not fair.is_flipped


def test_a_ranking_is_tiers_in_which_all_orders_agree(server: Server) -> None:
    items = [worth(goods, name=name) for name, goods in (("Ann", 1), ("Ben", 4), ("Cid", 1), ("Dot", 0))]
    with judge(server.address) as asked:
        record = asked.rank([items], RUBRIC)[0]
    a, b, c, d = (each.id for each in items)
    assert record.tiers == ((b,), (a, c), (d,))
    assert record.items == (a, b, c, d)
    assert "2: It has 4 good words." in record.reason
    shown = [request["body"]["messages"][1]["content"] for request in server.asked]
    places = [[text.index(each.answer) for each in items] for text in shown]
    assert len(places) == 2
    assert sorted(range(4), key=places[0].__getitem__) == sorted(range(4), key=places[1].__getitem__)[::-1]


def test_what_only_one_order_says_is_no_order(server: Server) -> None:
    letters = {"reasons": {"A": "Good.", "B": "Good.", "C": "Bad."}, "ranking": [["A"], ["B"], ["C"]]}
    server.rules({"say": json.dumps(letters)})
    items = [worth(goods, name="abc"[goods]) for goods in range(3)]
    with judge(server.address) as asked:
        assert [len(tier) for tier in asked.rank([items], RUBRIC)[0].tiers] == [3]
    with judge(server.address, rank_orders=1) as asked:
        assert [len(tier) for tier in asked.rank([items], RUBRIC)[0].tiers] == [1, 1, 1]


def test_more_answers_than_can_be_ranked_are_refused(server: Server) -> None:
    with judge(server.address) as asked, pytest.raises(UserError, match="5 answers; allowed: 2 to 4"):
        asked.rank([[worth(0, name=str(at)) for at in range(5)]], RUBRIC)


def test_a_second_run_makes_no_call_at_all(server: Server) -> None:
    items, pairs = [worth(goods) for goods in range(4)], [pair(0, 3)]
    with judge(server.address) as asked:
        before = asked.score(items, RUBRIC), asked.compare(pairs, RUBRIC), asked.rank([items], RUBRIC)
        assert asked.cost["cached_share"] == 0
    calls = len(server.asked)
    assert calls == 4 + 2 + 2
    with judge("http://127.0.0.1:9/v1") as asked:  # nobody is there
        again = asked.score(items, RUBRIC), asked.compare(pairs, RUBRIC), asked.rank([items], RUBRIC)
        assert (asked.cost["calls"], asked.cost["cached_share"]) == (0, 1)
    assert again == before
    assert len(server.asked) == calls


def test_equal_answers_are_asked_about_once(server: Server) -> None:
    with judge(server.address) as asked:
        records = asked.score([worth(2)] * 5, RUBRIC)
    assert len(server.asked) == 1
    assert [record.grades["grammar"].score for record in records] == [3] * 5


def test_another_rubric_model_setting_or_repeat_is_another_question(server: Server) -> None:
    other = Rubric.model_validate(
        {**RUBRIC.model_dump(), "task": {"worth": {"asks": "Is it?", "levels": dict(RUBRIC.story["grammar"].levels)}}}
    )
    with judge(server.address) as asked:
        asked.score([worth(1)], RUBRIC)
        asked.score([worth(1)], other)
        asked.repeated(1).score([worth(1)], RUBRIC)
    for changes in ({"model": "judge-2"}, {"temperature": 0.5}, {"body": {"seed": 1}}, {"text_characters": 200}):
        with judge(server.address, **changes) as asked:
            asked.score([worth(1)], RUBRIC)
    assert len(server.asked) == 3 + 3  # a text that is not cut is the same in any length
    assert server.asked[-1]["body"]["seed"] == 1
    assert [request["body"]["model"] for request in server.asked].count("judge-2") == 1


def test_repeats_have_replies_of_their_own(server: Server) -> None:
    with judge(server.address) as asked:
        first = asked.score([worth(2)], RUBRIC)
        server.rules({"say": json.dumps({axis: {"reason": "Bad.", "level": 1} for axis in AXES})})
        anew = asked.repeated(1).score([worth(2)], RUBRIC)
        assert asked.score([worth(2)], RUBRIC) == first
    assert anew[0].overall == 1
    assert anew[0].judge == first[0].judge


def test_the_schema_asks_for_reasons_before_values_and_nothing_else(server: Server) -> None:
    with judge(server.address) as asked:
        asked.score([worth(1)], RUBRIC)
        asked.compare([pair(1, 2)], RUBRIC)
        asked.rank([[worth(1), worth(2)]], RUBRIC)
    formats = [request["body"]["response_format"] for request in server.asked]
    assert {each["type"] for each in formats} == {"json_schema"}
    schemas = [each["json_schema"]["schema"] for each in formats]
    assert all(each["json_schema"]["strict"] for each in formats)
    assert list(schemas[0]["properties"]) == AXES
    assert list(schemas[0]["$defs"]["Level"]["properties"]) == ["reason", "level"]
    assert list(schemas[1]["$defs"]["Preference"]["properties"]) == ["reason", "better"]
    assert list(schemas[-1]["properties"]) == ["reasons", "ranking"]
    objects = [part for schema in schemas for part in (schema, *schema["$defs"].values())]
    assert all(part["additionalProperties"] is False and part["type"] == "object" for part in objects)


def test_the_cost_is_told(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    prices = {"price_per_million_prompt_tokens": 2.0, "price_per_million_reply_tokens": 10.0}
    with judge(server.address, **prices) as asked:
        asked.score([worth(1), worth(2)], RUBRIC)
        asked.score([worth(2), worth(3)], RUBRIC)
    cost = asked.cost
    assert (cost["calls"], cost["prompt_tokens"], cost["reply_tokens"]) == (3, 2700, 300)
    assert cost["price"] == pytest.approx(2700 * 2 / 1e6 + 300 * 10 / 1e6)
    assert "3 calls, 2700 tokens of prompts and 300 of replies" in caplog.text
    with judge(server.address) as asked:
        asked.score([worth(1), worth(4)], RUBRIC)
    assert (asked.cost["cached_share"], asked.cost["price"]) == (0.5, None)


def test_the_key_is_sent_and_never_written(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("JUDGE_KEY", KEY)
    server.rules({"say": f"Your key is {KEY}.", "times": 1})
    with judge(server.address) as asked:
        records = asked.score([worth(1)], RUBRIC)
    assert records[0].status == "ok"
    assert {request["key"] for request in server.asked} == {f"Bearer {KEY}"}
    assert kept()[0]["reply"] == "Your key is [key]."
    assert not [path for path in Path().rglob("*") if path.is_file() and KEY in path.read_text()]
    assert KEY not in caplog.text
    server.rules({"status": 401, "say": f"wrong key {KEY}"})
    with judge(server.address) as asked, pytest.raises(UserError, match="JUDGE_KEY is refused") as error:
        asked.score([worth(2)], RUBRIC)
    assert KEY not in str(error.value)


def test_no_more_requests_at_once_than_allowed(server: Server) -> None:
    server.rules({"delay_s": 0.1})
    with judge(server.address, requests_at_once=3) as asked:
        asked.score([worth(1, name=str(at)) for at in range(9)], RUBRIC)
    assert 2 <= max(request["most"] for request in server.asked) <= 3


def test_an_answer_with_an_odd_name_of_an_axis(server: Server) -> None:
    odd = Rubric.model_validate(
        {"story": {"model_config": {"asks": "?", "levels": dict(RUBRIC.story["grammar"].levels)}}, "task": RUBRIC.task}
    )
    with judge(server.address) as asked:
        assert asked.score([worth(2)], odd)[0].overall == 3
        assert asked.compare([pair(2, 1)], odd)[0].axes == {"model_config": "first"}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"address": "localhost:1"}, "starts with http"),
        ({"address": "https://me:secret@host/v1"}, "the key comes from the environment"),
        ({"model": ""}, "without a model"),
        ({"body": {"messages": []}}, "is not for body"),
        ({"name": "../x"}, "name"),
    ],
)
def test_a_bad_parameter_is_refused(changes: dict[str, object], line: str) -> None:
    from pydantic import ValidationError

    from tasks.judging.endpoint import EndpointJudgeParams

    with pytest.raises(ValidationError, match=line):
        EndpointJudgeParams.model_validate({**section("http://127.0.0.1:9/v1"), **changes})


def test_pairs_in_both_directions_are_two_questions_in_all(server: Server) -> None:
    with judge(server.address) as asked:
        both: list[Pair] = [pair(1, 2), pair(1, 2).swapped]
        asked.compare(both, RUBRIC)
    assert len(server.asked) == 2
