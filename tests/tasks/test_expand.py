"""The stage `expand` against a server on this machine: what it keeps, what it survives, what it never says."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tasks.expand import ExpandParams, expand, read_tasks
from tasks.stage import UserError, load_params
from tests.conftest import ROOT
from tests.tasks.fake_endpoint import FakeEndpoint, refused, said, serving

SEEDS = ROOT / "tasks" / "seeds" / "assistant.jsonl"
INSTRUCTIONS, METRICS = Path("data/instructions.jsonl"), Path("metrics/expand.json")
REPLIES = Path("var/expand/replies.jsonl")
KEY = "sk-very-secret-123"
WORDS = ("apple", "boat", "cloud", "drum", "egg", "fish", "goat", "hat", "ink", "jam", "kite", "lamp", "moon", "nest")


def params(address: str | None, **changes: Any) -> ExpandParams:
    return ExpandParams.model_validate({**section(address), **changes})


def section(address: str | None) -> dict[str, Any]:
    return {
        "endpoint": address, "model": "fake-1", "api_key_variable": "FAKE_KEY", "helper": "a helper for children",
        "instructions": 12, "tasks_per_reply": 3, "seeds_per_prompt": 3, "made_per_prompt": 2, "max_rouge_l": 0.7,
        "instruction_words": (2, 60), "output_words": (1, 200), "temperature": 1.0, "max_tokens": 800,
        "requests_at_once": 2, "max_retries": 1, "timeout_s": 20.0, "budget_calls": 40, "budget_tokens": None,
        "seed": 1,
    }  # fmt: skip


def task(n: int) -> dict[str, str]:
    """The n-th of many tasks that are no near copies of each other."""
    at, other = WORDS[n % len(WORDS)], WORDS[n // len(WORDS) % len(WORDS)]
    return {"instruction": f"q{n} {at}{n} w{n} {other}{n} z{n}?", "input": "", "output": f"It is {at} {n}."}


def new_tasks(number: int) -> str:
    return json.dumps([task(3 * number + at) for at in range(3)])


def run(given: ExpandParams) -> list[dict[str, Any]]:
    expand(given, seeds=[SEEDS], instructions=INSTRUCTIONS, metrics=METRICS)
    return [json.loads(line) for line in INSTRUCTIONS.read_text().splitlines()]


def figures() -> dict[str, int]:
    return dict(json.loads(METRICS.read_text()))


def adds_up() -> bool:
    found = figures()
    kept = found["tasks_kept"] + sum(count for name, count in found.items() if name.startswith("rejected_"))
    return found["tasks_in"] == kept


@pytest.fixture
def endpoint(workspace: Path) -> Iterator[FakeEndpoint]:
    """A server whose every reply holds three new tasks."""
    with serving(lambda number, body: said(new_tasks(number))) as fake:
        yield fake


def test_without_an_endpoint_it_says_so_and_writes_empty_files(
    workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for address in (None, ""):
        caplog.clear()
        assert run(params(address)) == []
        assert (figures()["skipped"], figures()["calls"]) == (1, 0)
        assert len(caplog.messages) == 1
        assert "skipped: no endpoint" in caplog.text
    assert not Path("var").exists()


def test_new_tasks_are_kept_with_their_origin(endpoint: FakeEndpoint) -> None:
    rows = run(params(endpoint.address))
    assert [row["instruction"] for row in rows] == sorted(
        {row["instruction"] for row in rows}, key=[row["instruction"] for row in rows].index
    )
    assert len(rows) == 12
    assert {row["origin"] for row in rows} == {"self-instruct: fake-1"}
    replies = {line["hash"]: line for line in map(json.loads, REPLIES.read_text().splitlines())}
    for row in rows:
        assert row["instruction"] in replies[row["reply"]]["reply"]
        shown = replies[row["reply"]]["request"]["messages"][0]["content"]
        lines = [name.removeprefix("assistant.jsonl:") for name in row["seeds"] if not name.startswith("made:")]
        assert len(lines) == 3
        for line in lines:
            seed = json.loads(SEEDS.read_text().splitlines()[int(line) - 1])
            assert json.dumps(seed["instruction"], ensure_ascii=False) in shown
    assert figures()["calls"] == len(endpoint.asked) == 4
    assert adds_up()


def test_tasks_already_made_are_shown_in_later_prompts(endpoint: FakeEndpoint) -> None:
    rows = run(params(endpoint.address, instructions=30))
    assert not [name for row in rows[:24] for name in row["seeds"] if name.startswith("made:")]
    assert len([name for name in rows[-1]["seeds"] if name.startswith("made:")]) == 2


def test_the_same_replies_give_the_same_instructions_however_they_come(endpoint: FakeEndpoint) -> None:
    run(params(endpoint.address, instructions=30))
    before, asked = INSTRUCTIONS.read_bytes(), len(endpoint.asked)
    for at_once in (1, 8):
        run(params(endpoint.address, instructions=30, requests_at_once=at_once))
        assert INSTRUCTIONS.read_bytes() == before
    assert len(endpoint.asked) == asked
    assert len(run(params(endpoint.address, instructions=30, seed=2))) == 30
    assert len(endpoint.asked) == 2 * asked


def test_no_more_requests_at_once_than_allowed(workspace: Path) -> None:
    def slowly(number: int, body: dict[str, Any]) -> tuple[int, Any]:
        time.sleep(0.05)
        return said(new_tasks(number))

    with serving(slowly) as fake:
        run(params(fake.address, instructions=24, requests_at_once=3))
        assert 2 <= fake.most <= 3


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps([task(1), task(2)]),
        json.dumps(task(1)) + "\n" + json.dumps(task(2)),
        json.dumps({"tasks": [task(1), task(2)]}, indent=2),
        f"Sure! {{Here}} they are:\n```json\n{json.dumps([task(1), task(2)], indent=1)}\n```\nEnjoy [them]!",
        json.dumps([task(1), task(2), task(3)])[:-40],
        f"<think>{{hm</think>{json.dumps([{**task(1), 'id': 7}, {**task(2), 'input': None}])}",
    ],
    ids=["a list", "lines", "an object around", "a fence and prose", "cut off", "thoughts and more fields"],
)
def test_tasks_are_found_in_any_wrapping(reply: str) -> None:
    found = list(read_tasks(reply))
    assert [one and one.model_dump() for one in found] == [task(1), task(2)]


@pytest.mark.parametrize(
    ("reply", "wrong"),
    [
        ("", 0), ("I can't do that.", 0), ("[1, 2, 3]", 0), ('{"instruction": ', 0), ("{" * 50_000, 0),
        ('{"a":' * 2_000, 0), ('[{"instruction": "Say hello."}]', 1), ('[{"instruction": " ", "output": "x"}]', 1),
        ('[{"instruction": "Name it.", "output": ["a"]}]', 1), ("{}", 1),
    ],
)  # fmt: skip
def test_a_broken_reply_holds_nothing_and_breaks_nothing(reply: str, wrong: int) -> None:
    assert list(read_tasks(reply)) == [None] * wrong


def test_bad_replies_are_counted(workspace: Path) -> None:
    bad = [
        "no JSON",
        None,
        '[{"instruction": "Say hello."}]',
        '[{"output": 3, "instruction": "Count to three for me."}]',
    ]
    with serving(lambda number, body: said(bad[number] if number < 4 else new_tasks(number))) as fake:
        assert len(run(params(fake.address, instructions=4, requests_at_once=1))) == 4
        assert (figures()["bad_replies"], figures()["rejected_form"]) == (2, 1)
        assert adds_up()


def test_near_copies_are_dropped_and_counted(workspace: Path) -> None:
    seed = json.loads(SEEDS.read_text().splitlines()[0])["instruction"]  # "What do cows eat?"
    tasks = [
        {"instruction": seed, "output": "Grass."},
        {"instruction": f"{seed} Tell!", "output": "Grass."},
        {"instruction": "Räkna upp fem små röda frukter", "output": "Äpple."},
        {"instruction": "Räkna upp SEX små röda frukter!", "output": "Äpple."},
        {"instruction": "Why do the stars shine?", "output": "They are hot."},
    ]
    with serving(lambda number, body: said(json.dumps(tasks))) as fake:
        rows = run(params(fake.address, instructions=5, tasks_per_reply=5, budget_calls=1))
        assert [row["instruction"] for row in rows] == [tasks[2]["instruction"], tasks[4]["instruction"]]
        assert figures()["rejected_near_copy"] == 3
        assert len(run(params(fake.address, instructions=5, tasks_per_reply=5, budget_calls=1, max_rouge_l=1.0))) == 5


def test_lengths_are_kept_and_surplus_is_cut(workspace: Path) -> None:
    tasks = [
        {"instruction": "Sing", "output": "La."},
        {"instruction": "Sing about a river", "output": "la " * 300},
        *(task(at) for at in range(3)),
    ]
    with serving(lambda number, body: said(json.dumps(tasks))) as fake:
        assert len(run(params(fake.address, instructions=2))) == 2
        found = figures()
        assert (found["rejected_length"], found["rejected_surplus"]) == (2, 1)
        assert adds_up()


def test_a_busy_server_is_asked_again(workspace: Path) -> None:
    busy = {0: refused(429, "slow down"), 2: refused(503, "a moment")}
    with serving(lambda number, body: busy.get(number) or said(new_tasks(number))) as fake:
        assert len(run(params(fake.address, requests_at_once=1))) == 12
        assert len(fake.asked) == 4 + 2
        assert figures()["calls"] == 4


def test_when_the_server_gives_up_one_line_says_so_and_what_came_is_kept(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_KEY", KEY)
    broken = True

    def answer(number: int, body: dict[str, Any]) -> tuple[int, Any]:
        return refused(500, f"out of memory\nwith {KEY}") if broken and number >= 2 else said(new_tasks(number))

    with serving(answer) as fake:
        with pytest.raises(UserError) as error:
            run(params(fake.address, requests_at_once=1))
        line = str(error.value)
        assert f"{fake.address} answers 500, 2 times: out of memory with [key]" in line
        assert f"2 replies are kept in {REPLIES}" in line
        assert "\n" not in line
        assert not INSTRUCTIONS.exists()
        assert len(fake.asked) == 2 + 2  # the others were not even begun
        broken = False
        assert len(run(params(fake.address, requests_at_once=1))) == 12
        assert len(fake.asked) == 4 + 2


@pytest.mark.parametrize(("key", "state"), [(KEY, "is refused"), ("", "is not set")])
def test_a_refused_key_is_one_line_without_the_key(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, key: str, state: str
) -> None:
    monkeypatch.setenv("FAKE_KEY", key)
    with serving(lambda number, body: refused(401, f"wrong key {KEY}")) as fake:
        with pytest.raises(UserError, match=f"environment variable FAKE_KEY {state}") as error:
            run(params(fake.address))
        assert fake.keys == {f"Bearer {key or 'none'}"}
        assert len(fake.asked) <= 2
    assert KEY not in str(error.value) + caplog.text


def test_the_key_is_sent_and_never_written(endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_KEY", KEY)
    run(params(endpoint.address))
    assert endpoint.keys == {f"Bearer {KEY}"}
    assert not [path for path in Path().rglob("*") if path.is_file() and KEY in path.read_text()]


def test_other_mistakes_of_the_endpoint_are_one_line(workspace: Path) -> None:
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/v1 can't be reached, once"):
        run(params("http://127.0.0.1:9/v1", max_retries=0))
    with serving(lambda number, body: refused(404, "no model fake-1")) as fake:
        with pytest.raises(UserError, match="answers 404: no model fake-1"):
            run(params(fake.address))
        with pytest.raises(UserError, match=r"answers 404: <p>no</p>; 0 replies"):
            run(params(fake.address.removesuffix("/v1")))
    with serving(lambda number, body: (200, "<html>Welcome</html>")) as fake, pytest.raises(UserError, match="/v1"):
        run(params(fake.address))
    with serving(lambda number, body: (200, {"ok": True})) as fake, pytest.raises(UserError, match="/v1"):
        run(params(fake.address))
    with (
        serving(lambda number, body: (time.sleep(1), said(""))[1]) as fake,
        pytest.raises(UserError, match="gave no reply within"),
    ):
        run(params(fake.address, timeout_s=0.1, max_retries=0))


def test_the_budget_of_calls_ends_it_cleanly(endpoint: FakeEndpoint, caplog: pytest.LogCaptureFixture) -> None:
    assert len(run(params(endpoint.address, instructions=1_000, budget_calls=3))) == 9
    assert len(endpoint.asked) == 3
    assert "stopped by the budget: 3 calls" in caplog.text


@pytest.mark.parametrize(("budget", "calls"), [(1_000, 10), (950, 9), (1, 1), (0, 0)])
def test_the_budget_of_tokens_ends_it_cleanly(endpoint: FakeEndpoint, budget: int, calls: int) -> None:
    rows = run(params(endpoint.address, instructions=1_000, budget_calls=1_000, budget_tokens=budget))
    assert (len(endpoint.asked), len(rows)) == (calls, 3 * calls)
    assert figures()["tokens"] == 100 * calls


def test_a_server_that_counts_no_tokens_is_counted_for(workspace: Path) -> None:
    with serving(lambda number, body: said(new_tasks(number), tokens=None)) as fake:
        run(params(fake.address, instructions=3))
        sent = len(fake.asked[0]["messages"][0]["content"]) + len(new_tasks(0))
        assert figures()["tokens"] == pytest.approx(sent / 4, rel=0.01)


def test_a_torn_or_strange_line_of_the_kept_replies_costs_only_itself(endpoint: FakeEndpoint) -> None:
    given = params(endpoint.address, requests_at_once=1)  # the replies come in order
    run(given)
    before = INSTRUCTIONS.read_bytes()
    lines = REPLIES.read_bytes().splitlines(keepends=True)
    REPLIES.write_bytes(lines[0] + b"[1]\n" + lines[1] + lines[2] + lines[3][:50])
    endpoint.answer = lambda number, body: said(new_tasks(3))
    run(given)
    assert INSTRUCTIONS.read_bytes() == before
    assert len(endpoint.asked) == 5
    run(given)
    assert len(endpoint.asked) == 5


def test_a_killed_run_asks_nothing_twice(workspace: Path) -> None:
    """`kill -9` in the middle of the third call, then again to the end."""
    stuck, go_on = threading.Event(), threading.Event()

    def answer(number: int, body: dict[str, Any]) -> tuple[int, Any]:
        if number == 2:
            stuck.set()
            go_on.wait(60)
        return said(new_tasks(number if number < 2 else number - 1))

    with serving(answer) as fake:
        YAML().dump(
            {
                "expand": {
                    **section(fake.address),
                    "requests_at_once": 1,
                    "instruction_words": [2, 60],
                    "output_words": [1, 200],
                }
            },
            workspace / "params.yaml",
        )
        command = [sys.executable, "-m", "tasks.expand", "--seeds", str(SEEDS)]
        command += ["--instructions", str(INSTRUCTIONS), "--metrics", str(METRICS)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert stuck.wait(60), process.communicate(timeout=5)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(REPLIES.read_text().splitlines()) == 2
        assert not INSTRUCTIONS.exists()
        go_on.set()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "12 of 12 instructions after 4 calls" in done.stdout
        assert len(fake.asked) == 3 + 2
    assert len(INSTRUCTIONS.read_text().splitlines()) == 12


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "holds no seed task"),
        (
            '{"instruction": "Sing.", "output": "La."}\n\n{"instruction": "Sing."}\n',
            r"seeds\.jsonl:3: not a seed task: output: Field required",
        ),
        ("nonsense", r"seeds\.jsonl:1: not a seed task: Invalid JSON"),
    ],
)
def test_a_bad_seed_file_is_named_with_its_line(workspace: Path, text: str, line: str) -> None:
    Path("seeds.jsonl").write_text(text)
    with pytest.raises(UserError, match=line):
        expand(params("http://127.0.0.1:9/v1"), seeds=[Path("seeds.jsonl")], instructions=INSTRUCTIONS, metrics=METRICS)
    with pytest.raises(UserError, match=r"nowhere\.jsonl"):
        expand(
            params("http://127.0.0.1:9/v1"), seeds=[Path("nowhere.jsonl")], instructions=INSTRUCTIONS, metrics=METRICS
        )


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("endpoint", "localhost:8000/v1", "starts with http:// or https://"),
        ("endpoint", "https://me:secret@host/v1", "the key comes from the environment"),
        ("instruction_words", [5, 2], "no range"),
        ("api_key", "sk-1", "unknown key 'expand.api_key'"),
        ("max_rouge_l", 0, "greater than 0"),
    ],
)
def test_a_bad_parameter_is_one_line(workspace: Path, key: str, value: Any, line: str) -> None:
    changed = {**section("http://127.0.0.1:9/v1"), "instruction_words": [2, 60], "output_words": [1, 200], key: value}
    YAML().dump({"expand": changed}, workspace / "params.yaml")
    with pytest.raises(UserError) as error:
        load_params(ExpandParams, "expand")
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_the_built_in_seed_tasks_are_good_examples() -> None:
    seeds = [json.loads(line) for line in SEEDS.read_text().splitlines()]
    assert len(seeds) >= 30
    assert all(list(seed) == ["instruction", "input", "output"] for seed in seeds)
    assert len({seed["instruction"] for seed in seeds}) == len(seeds)
    assert all(seed["instruction"].strip() == seed["instruction"] and seed["output"] for seed in seeds)
