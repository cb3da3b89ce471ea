"""The table and the picture of the driven loop, by round."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.loop.preferences import NOISE, justified
from benchmarks.loop.workspace import TASKS

Figures = Mapping[str, Any]
HEADING = (
    "round", "share that is liked", "gate", "expected", "win rate against the champion, at equal lengths",
    "people's votes", "released", "answers", "seconds",
)  # fmt: skip
MEASURES = ("round", *(f"{task} {metric}" for task, metric in TASKS.items()), "bits per byte")


def markdown(told: Figures) -> str:
    """All preferences, a table each of what was aimed at and of what must not get worse."""
    return "\n".join(_lines(told)).rstrip() + "\n"


def _lines(told: Figures) -> Iterator[str]:
    yield "# The loop, driven for real"
    yield ""
    yield (
        f"`make loop`, {told['date']}, {told['machine']}. Prefect server and worker, MLflow and the review page run; "
        f"**simulated** reviewers (scripts with a hidden preference and {NOISE:.0%} noise; no person) answer two "
        "batches over HTTP. Nobody moves a file: a full batch sets off `collect-reviews`, that sets off `improve`, and "
        "that `release`."
    )
    yield ""
    yield "![The share of answers that are liked, by round](loop.svg)"
    for name, found in told["preferences"].items():
        yield from _preference(name, found)


def _preference(name: str, found: Figures) -> Iterator[str]:
    rounds = found["rounds"]
    yield from ("", f"## {name.capitalize()}", "", f"The hidden preference: {found['likes']}. {_rise(rounds)}", "")
    when = "What votes and judge justify" if found["expected"] is None else "Expected beforehand"
    yield f"{when}: {found['why']}."
    yield from ("", *_table(HEADING, (_aim(one, found) for one in rounds)), "", "What must not get worse:")
    yield from ("", *_table(MEASURES, map(_measures, rounds)), "")
    if params := ", ".join(f"`{name}` {value}" for name, value in found.get("params", {}).items()):
        yield from (f"Its own params: {params}.", "")
    for one in rounds:
        yield f"- Round {one['number']}: {'; '.join(one['figures']['gate']['reasons'])}. {_ran(one['stages'])}"
    if turned := found.get("damaged"):
        told = "; ".join(turned["reasons"])
        yield f"- Damaged on purpose (the last pairs turned round, expected: rejected): `{turned['decision']}`: {told}."


def _rise(rounds: Sequence[Figures]) -> str:
    first, last = (one["figures"] for one in (rounds[0], rounds[-1]))
    over = last["share"] > first["share_high"]
    return f"From {_share(first)} to {_share(last)}: {'beyond' if over else '**within**'} the first interval."


def _share(figures: Figures) -> str:
    return f"{figures['share']:.1%} [{figures['share_low']:.1%}, {figures['share_high']:.1%}]"


def _aim(one: Figures, found: Figures) -> tuple[str, ...]:
    gate, number = one["figures"]["gate"], one["number"]
    wanted = _expected(gate, number, found) if number else ()
    return (
        str(number), _share(one["figures"]), one["decision"], " or ".join(wanted) or "-",
        _interval(gate, "champion_length_controlled_win_rate"), _votes(gate), "yes" if one["released"] else "no",
        f"{one['answers']}{' + ' + str(one['votes']) if one['votes'] else ''}", f"{one['seconds']:.0f}",
    )  # fmt: skip


def _expected(gate: Figures, number: int, found: Figures) -> Sequence[str]:
    if found["expected"] is not None:
        return tuple(found["expected"][number - 1])
    return (justified(gate, more_unsafe=found["params"]["gate.margins.champion.unsafe"]),)


def _votes(gate: Figures) -> str:
    return f"{_interval(gate, 'human_preference')} of {gate['human_votes']}" if gate.get("human_votes") else "-"


def _interval(gate: Figures, name: str) -> str:
    value, low, high = (gate.get(f"{name}{end}") for end in ("", "_low", "_high"))
    return "-" if value is None or low is None or high is None else f"{value:.1%} [{low:.1%}, {high:.1%}]"


def _measures(one: Figures) -> tuple[str, ...]:
    figures = one["figures"]
    return str(one["number"]), *(f"{figures[task]:.3f}" for task in TASKS), f"{figures['bits_per_byte']:.3f}"


def _ran(stages: Sequence[str]) -> str:
    return f"Ran: {', '.join(stages)}." if stages else "The whole chain, before any review."


def _table(heading: Sequence[str], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(heading)} |"
    yield f"|{'---|' * len(heading)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def svg(told: Figures) -> str:
    """The share that is liked by round, a line a preference, with its 95 % interval."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "fledgling"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for at, (name, found) in enumerate(told["preferences"].items()):
        numbers = [one["number"] + 0.04 * at for one in found["rounds"]]
        shares = [one["figures"]["share"] for one in found["rounds"]]
        ends = [
            [abs(one["figures"][f"share{end}"] - one["figures"]["share"]) for one in found["rounds"]]
            for end in ("_low", "_high")
        ]
        axes.errorbar(numbers, shares, yerr=ends, marker="o", capsize=4, label=f"{name}: {found['likes']}")
    axes.set(xlabel="round", ylabel="share of hold-out stories", ylim=(0, 1), xticks=range(3))
    axes.legend(loc="lower right", fontsize=8)
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"
