"""How Label Studio tells each kind of decision: the controls of a project's page, and their results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from tasks.reviews.decisions import BOTH_BAD, TIE
from tasks.reviews.kinds import Values

PLACES = ("place_1", "place_2", "place_3", "place_4")  # names of a ranking's buckets, the best first


@dataclass(frozen=True)
class Form:
    """A kind of item there.

    control: puts it on a page, with the axes and what each asks. said: its results by name and the answers in the
    order shown, as the review page would say it (tasks.reviews.decisions). results: of a decision.
    """

    control: Callable[[Element, Mapping[str, str]], None]
    said: Callable[[Mapping[str, Any], Sequence[str]], Values]
    results: Callable[[Values, Sequence[str]], Iterator[Values]]


def _said_choice(by_name: Mapping[str, Any], sides: Sequence[str]) -> Values:
    if "choice" in by_name:
        return {"side": by_name["choice"]["selected"]}
    return {"side": by_name["neither"]["choices"][0]}


def _said_ranking(by_name: Mapping[str, Any], sides: Sequence[str]) -> Values:
    ranked = by_name["ranking"]["ranker"]
    if set(ranked) - {"_"} <= set(PLACES):
        tiers = [ranked[place] for place in PLACES if ranked.get(place)]
    else:  # a Ranker without buckets: one list
        tiers = [[one] for one in ranked["ranking"]]
    return {"tiers": [[sides.index(one) for one in tier] for tier in tiers]}


def _said_rating(by_name: Mapping[str, Any], sides: Sequence[str]) -> Values:
    return {"scores": {axis: value["rating"] for axis, value in by_name.items()}}


def _said_correction(by_name: Mapping[str, Any], sides: Sequence[str]) -> Values:
    text = by_name["correction"]["text"]
    return {"text": text if isinstance(text, str) else "\n".join(text)}


def _result(name: str, to: str, kind: str, value: Any) -> Values:
    return {
        "from_name": name,
        "to_name": to,
        "type": kind,
        "value": {"selected" if kind == "pairwise" else kind: value},
    }


def _result_choice(decision: Values, sides: Sequence[str]) -> Iterator[Values]:
    winner = decision["winner"]
    if winner in (TIE, BOTH_BAD):
        yield _result("neither", "prompt", "choices", [winner])
    else:
        yield _result("choice", "answer_1", "pairwise", "left" if winner == sides[0] else "right")


def _result_ranking(decision: Values, sides: Sequence[str]) -> Iterator[Values]:
    yield _result("ranking", "answers", "ranker", {**dict(zip(PLACES, decision["tiers"], strict=False)), "_": []})


def _result_rating(decision: Values, sides: Sequence[str]) -> Iterator[Values]:
    for axis, level in decision["scores"].items():
        yield _result(axis, "answer_1", "rating", level)


def _result_correction(decision: Values, sides: Sequence[str]) -> Iterator[Values]:
    yield {**_result("correction", "answer_1", "textarea", None), "value": {"text": [decision["text"]]}}


def _control_choice(view: Element, axes: Mapping[str, str]) -> None:
    SubElement(view, "Pairwise", name="choice", toName="answer_1,answer_2")
    sides = SubElement(view, "View", style="display: grid; grid-template-columns: 1fr 1fr; gap: 2em; margin: 1em 0")
    for place, title in enumerate(("Left", "Right"), start=1):
        side = SubElement(sides, "View")
        SubElement(side, "Header", value=title, size="5")
        SubElement(side, "Text", name=f"answer_{place}", value=f"$answer_{place}")
    neither = SubElement(view, "Choices", name="neither", toName="prompt", choice="single")
    for value in (TIE, BOTH_BAD):
        SubElement(neither, "Choice", value=value)


def _control_ranking(view: Element, axes: Mapping[str, str]) -> None:
    SubElement(view, "List", name="answers", value="$answers", title="Answers")
    ranker = SubElement(view, "Ranker", name="ranking", toName="answers")
    for number, place in enumerate(PLACES, start=1):
        SubElement(ranker, "Bucket", name=place, title=f"Place {number}")


def _control_rating(view: Element, axes: Mapping[str, str]) -> None:
    SubElement(view, "Text", name="answer_1", value="$answer_1")
    for axis, asks in axes.items():
        SubElement(view, "Header", value=asks)
        SubElement(view, "Rating", name=axis, toName="answer_1", maxRating="5", required="true")


def _control_correction(view: Element, axes: Mapping[str, str]) -> None:
    SubElement(view, "Text", name="answer_1", value="$answer_1")
    SubElement(
        view, "TextArea", name="correction", toName="answer_1", value="$answer_1", rows="12", maxSubmissions="1",
        editable="true", required="true",
    )  # fmt: skip


FORMS: Mapping[str, Form] = {  # by kind of item
    "choice": Form(_control_choice, _said_choice, _result_choice),
    "ranking": Form(_control_ranking, _said_ranking, _result_ranking),
    "rating": Form(_control_rating, _said_rating, _result_rating),
    "correction": Form(_control_correction, _said_correction, _result_correction),
}
