"""The study as people read it: Markdown from the JSON, and the learning curve as an SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks.evaluation.task_table import OF_A_HUNDRED

Figures = Mapping[str, Any]

TITLES = {"full": "full", "lora": "LoRA", "lora_all": "LoRA, all matrices", "qlora": "QLoRA (nf4), all matrices"}


def markdown(study: Figures) -> str:
    """The whole study: ways to fine-tune, memory at a larger shape, the learning curve with who wins from where on."""
    lines = ["# Fine-tuning: LoRA beside full, and what few examples are worth", ""]
    lines.append(
        f"Made by `make study` on {study['date']} ({study['machine']}, {study['threads']} "
        f"thread{'s' * (study['threads'] > 1)}, {study['share']:.0%} of the budgets); 95 % intervals by bootstrap."
    )
    if study.get("methods"):
        lines += ["", "## Ways to fine-tune, on one budget", "", *_methods(study)]
    if study.get("curve"):
        lines += ["", "## Learning curve, one task alone", "", "![The learning curve](finetuning.svg)", ""]
        lines += _curve(study["curve"])
    return "\n".join(lines) + "\n"


def _methods(study: Figures) -> Iterator[str]:
    methods = study["methods"]
    metrics = {task: found["metric"] for task, found in methods[0]["tasks"].items()}
    tasks = list(metrics)
    yield f"| | parameters trained | rate | steps | tokens/s | peak memory | forgotten | {' | '.join(tasks)} |"
    yield "|---" * (7 + len(tasks)) + "|"
    for line in methods:
        share = f"{line['parameters_trained']:,} ({line['share_trained']:.2%})"
        cells = [
            TITLES[line["name"]], share, f"{line['rate']:g} ({line['optimiser']})", f"{line['steps']:,}",
            f"{line['tokens_per_s']:,.0f}", f"{line['peak_rss_mib']:,.0f} MiB",
            f"{line['forgotten_bits_per_byte']:+.3f}",
        ]  # fmt: skip
        yield f"| {' | '.join([*cells, *(told(metrics[task], line['tasks'].get(task)) for task in tasks)])} |"
    for name, found in study["baselines"].items():
        yield f"| {name} | | | | | | | {' | '.join(told(metrics[task], found.get(task)) for task in tasks)} |"
    yield ""
    yield from _said_of_methods(study)


def _said_of_methods(study: Figures) -> Iterator[str]:
    wide = ", ".join(f"{key} {value}" for key, value in study["wide"].items())
    peaks = ", ".join(f"{TITLES[line['name']]} {line['peak_rss_mib_wide']:,.0f} MiB" for line in study["methods"])
    yield f"- Peak memory of a random model large enough for its weights to count ({wide}): {peaks}."
    yield "- QLoRA takes the rate of LoRA on all matrices. Peak memory is that of the process, torch and all."
    yield (
        "- Tokens a second are those that optimiser steps read, prompts and answers alike, evaluation left out. Ways "
        "ran one after another: other work on the machine shows in their rates, not in their other figures."
    )
    yield "- Full fine-tuning has the rates of params.yaml, LoRA AdamW and the best of the rates tried."
    yield (
        f"- Forgotten: bits per byte of the test split of the pretraining text above the base model's "
        f"{study['base_bits_per_byte']:.3f}."
    )
    for line in study["methods"]:
        if line["rates_tried"]:
            losses = ", ".join(f"{rate}: {loss:.3f}" for rate, loss in line["rates_tried"].items())
            yield f"- {TITLES[line['name']]}: AdamW's rate by validation loss of a short run ({losses} nats a token)."


def _curve(points: Sequence[Figures]) -> Iterator[str]:
    yield "As many optimiser steps for every number of examples (fewer where these would be seen too often): the more "
    yield "examples, the less often each is seen. The baselines learn from the same examples."
    yield ""
    for task, own in _by_task(points).items():
        metric, baselines = own[0]["metric"], [name for name in own[0]["scores"] if name != "model"]
        yield f"### {task} ({metric}, {own[0]['rows']} test rows)"
        yield ""
        yield f"| examples | steps | epochs | fine-tuned | {' | '.join(baselines)} | ahead of the best baseline |"
        yield "|---" * (5 + len(baselines)) + "|"
        for point in own:
            scores = [told(metric, point["scores"].get(name)) for name in ("model", *baselines)]
            cells = [f"{point['examples']:,}", f"{point['steps']:,}", f"{point['epochs']:.1f}", *scores]
            yield f"| {' | '.join([*cells, told(metric, point['ahead'], signed=True)])} |"
        yield ""
        yield who_wins(own)
        yield ""


def _by_task(points: Sequence[Figures]) -> dict[str, list[Figures]]:
    return {
        task: sorted((point for point in points if point["task"] == task), key=lambda point: point["examples"])
        for task in dict.fromkeys(point["task"] for point in points)
    }


def who_wins(points: Sequence[Figures]) -> str:
    """One line on a task's points, the fewest examples first: from where on the model is ahead, by its interval."""
    sides = [_side(point["ahead"]) for point in points]
    last = sides[-1]
    start = len(sides) - next((at for at, side in enumerate(reversed(sides)) if side != last), len(sides))
    best = points[-1]["best_baseline"]
    subject = {"model": "The fine-tuned model is ahead", "baseline": f"The best baseline ({best}) is ahead"}.get(last)
    if subject is None:
        return f"Nobody is ahead beyond chance on {points[-1]['examples']:,} examples."
    if start == 0:
        return f"{subject} at every size, {points[0]['examples']:,} examples and up."
    before = {"model": "the model", "baseline": f"the baseline ({points[start - 1]['best_baseline']})"}
    other = before.get(sides[start - 1], "nobody beyond chance")
    return f"{subject} from {points[start]['examples']:,} examples on; on {points[start - 1]['examples']:,}, {other}."


def _side(ahead: Figures) -> str:
    if ahead["low"] > 0:
        return "model"
    return "baseline" if ahead["high"] < 0 else "level"


def told(metric: str, score: Figures | None, *, signed: bool = False) -> str:
    """A figure with its interval; figures of a hundred have fewer digits."""
    if score is None or math.isnan(score["value"]):
        return "-"
    digits = 1 if metric in OF_A_HUNDRED else 3
    value = f"{score['value']:+.{digits}f}" if signed else f"{score['value']:.{digits}f}"
    return f"{value} [{score['low']:.{digits}f}, {score['high']:.{digits}f}]"


WIDTH, HEIGHT, MARGIN = 340, 260, 44  # of a panel, in pixels
COLOURS = ("#1f5fa8", "#c4561a", "#7a7a7a", "#3c8d4f")


def svg(points: Sequence[Figures]) -> str:
    """The learning curve, a panel a task: examples on a logarithmic axis, the headline figure from 0."""
    tasks = _by_task(points)
    panels = [part for at, own in enumerate(tasks.values()) for part in _panel(own, left=at * WIDTH)]
    size = f'width="{WIDTH * len(tasks)}" height="{HEIGHT}"'
    style = 'font-family="sans-serif" font-size="11"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>', *panels, "</svg>"]) + "\n"


def _panel(own: Sequence[Figures], *, left: int) -> Iterator[str]:
    top = 100.0 if own[0]["metric"] in OF_A_HUNDRED else 1.0
    low, high = math.log(own[0]["examples"]), math.log(own[-1]["examples"])

    def x(examples: int) -> float:
        return left + MARGIN + (WIDTH - 2 * MARGIN) * (math.log(examples) - low) / max(high - low, 1e-9)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * value / top

    yield f'<text x="{left + MARGIN}" y="20" font-size="13">{own[0]["task"]}: {own[0]["metric"]}</text>'
    yield _path(
        [(x(own[0]["examples"]), y(top)), (x(own[0]["examples"]), y(0)), (x(own[-1]["examples"]), y(0))], "#000"
    )
    for value in (0, top / 2, top):
        yield f'<text x="{left + MARGIN - 6}" y="{y(value) + 4:.0f}" text-anchor="end">{value:g}</text>'
    for point in own:
        place = f'x="{x(point["examples"]):.0f}" y="{y(0) + 16:.0f}"'
        yield f'<text {place} text-anchor="middle">{point["examples"]:,}</text>'
    for at, name in enumerate(own[-1]["scores"]):
        colour = COLOURS[at % len(COLOURS)]
        known = [point for point in own if name in point["scores"]]
        yield _path([(x(p["examples"]), y(p["scores"][name]["value"])) for p in known], colour)
        for point in known if name == "model" else ():
            ends = [(x(point["examples"]), y(point["scores"][name][end])) for end in ("low", "high")]
            yield _path(ends, colour)
        label = f'x="{left + MARGIN + 80 * at}" y="{HEIGHT - 8}" fill="{colour}"'
        yield f"<text {label}>{'fine-tuned' if name == 'model' else name}</text>"


def _path(places: Sequence[tuple[float, float]], colour: str) -> str:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
