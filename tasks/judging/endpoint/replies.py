"""What an endpoint's judge may reply, and how a reply is read: a verdict, or the mistake in it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic takes that of typing from Python 3.12 on

from tasks.endpoint import json_objects
from tasks.judging.endpoint.prompts import LETTERS
from tasks.judging.records import Winner

REASON_CHARACTERS = 1_000  # of a reason in a record
READ_CHARACTERS = 10_000  # of a reply, its last ones: looking for objects takes the square of its length
WORDS_TO_TELL = 8  # from so many words on a language shows
ENGLISH_SHARE = 0.1  # of words that only English has; about a third of English prose, a hundredth of its neighbours'

# words of English that no neighbouring language has, and those that judges use
_ENGLISH = re.compile(
    r"the|and|are|with|that|this|but|not|it|its|has|have|from|only|there|they|which|does|would|child|children|answer|"
    r"story|request|sentences?|words?|safe|good|simple|clear|correct|errors?|faults?|ending|beginning|missing|both|"
    r"neither|better|because|while|more|less|than|though|however|very|well|some"
)
_REFUSAL = re.compile(
    r"^\W*(?:i'?m|i am|we are)? ?(?:very |so |really )?(?:sorry|unable to|not able to|afraid)\b"
    r"|\bi (?:can(?:no|')?t|can not|won't|will not|must decline|refuse)\b|\bas an ai\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“„«][^\"“”„«»\n]{1,200}[\"”»]")


def _whole(value: Any) -> Any:
    """A number for what stands for one: servers without a schema write "4" and 4.0."""
    if isinstance(value, bool):
        return str(value)  # to Python, true is 1
    if isinstance(value, str) and re.fullmatch(r"\s*[1-5](?:\.0)?\s*", value):
        return int(float(value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _choice(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    said = value.strip().removeprefix("Answer ").removeprefix("ANSWER ")
    return said.upper() if len(said) == 1 else said.lower()


Shape = TypeAdapter[Any]
Reason = Annotated[str, Field(min_length=1)]
Choice = Annotated[Literal["A", "B", "tie"], BeforeValidator(_choice)]


class Level(BaseModel):
    """An axis of an answer."""

    reason: Reason
    level: Annotated[Literal[1, 2, 3, 4, 5], BeforeValidator(_whole)]


class Preference(BaseModel):
    """The better one of two."""

    reason: Reason
    better: Choice

    def winner(self, *, swapped: bool) -> Winner:
        """Of the pair as it was given, where it was shown in this order or the other."""
        if self.better == "tie":
            return "tie"
        return "first" if (self.better == "A") != swapped else "second"


class Mistake(Exception):
    """Why a reply can't be used, as the judge is told."""


@cache
def score_shape(axes: tuple[str, ...]) -> Shape:
    """An object of a `Level` for each axis."""
    return TypeAdapter(_object("Levels", dict.fromkeys(axes, Level)))


@cache
def compare_shape(axes: tuple[str, ...]) -> Shape:
    """`axes`, an object of a `Preference` for each axis, and `verdict`, the one on the whole."""
    by_axis = _object("Axes", dict.fromkeys(axes, Preference))
    return TypeAdapter(_object("Comparison", {"axes": by_axis, "verdict": Preference}))


@cache
def rank_shape(count: int) -> Shape:
    """`reasons`, one for each letter, and `ranking`, lists of letters from the best to the worst."""
    letters = tuple(LETTERS[:count])
    reasons = _object("Reasons", dict.fromkeys(letters, Reason))
    letter: Any = Literal[letters]
    order = _object("Order", {"reasons": reasons, "ranking": list[list[letter]]})
    checked: Any = Annotated[order, AfterValidator(_holds_each_once)]
    return TypeAdapter(checked)


@cache
def schema(shape: Shape, *, name: str) -> dict[str, Any]:
    """What `response_format` says of a shape: nothing may stand in an object but its fields."""
    return {"name": name, "schema": _closed(shape.json_schema())}


def _object(name: str, fields: Mapping[str, Any]) -> Any:
    """The type of dictionaries with these fields: an axis may have any name."""
    return TypedDict(name, dict(fields))  # type: ignore[operator]


def _closed(schema: Any) -> Any:
    """A JSON schema in the form that strict servers take: objects closed, no remarks, no limits of length."""
    if isinstance(schema, list):
        return [_closed(inside) for inside in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: inside for key, inside in schema.items() if key not in ("title", "description", "minLength")}
    for key in set(kept) & {"properties", "$defs"}:  # their keys are names
        kept[key] = {name: _closed(inside) for name, inside in kept[key].items()}
    kept = {key: inside if key in ("properties", "$defs") else _closed(inside) for key, inside in kept.items()}
    return {**kept, "additionalProperties": False} if kept.get("type") == "object" else kept


def _holds_each_once(order: dict[str, Any]) -> dict[str, Any]:
    letters = sorted(order["reasons"])
    if sorted(letter for tier in order["ranking"] for letter in tier) != letters:
        raise ValueError(f"ranking must hold each of {', '.join(letters)} once")
    return {**order, "ranking": [tier for tier in order["ranking"] if tier]}


def read_reply(text: str, shape: Shape, *, is_cut: bool) -> Any:
    """The last object of the shape in a reply, whatever stands around it. Raises Mistake where there is none."""
    if not text.strip():
        raise Mistake("it is empty")
    mistake = "it holds no JSON object"
    for value in reversed(list(json_objects(text[-READ_CHARACTERS:]))):
        try:
            found = shape.validate_python(value)
        except ValidationError as error:
            mistake = _first(error)
            continue
        if not is_english(" ".join(reasons_of(shape.dump_python(found)))):
            raise Mistake("its reasons are not in English")
        return found
    raise Mistake("it was cut off at the limit of its length: say it in fewer words" if is_cut else mistake)


def is_refusal(text: str) -> bool:
    """Whether a reply without a verdict declines to give one."""
    return _REFUSAL.search(text[:300]) is not None


def is_english(text: str) -> bool:
    """Whether reasons are in English, as far as so many words can tell; quotations are no part of them."""
    letters = [c for c in text if c.isalpha()]
    if sum(c < "\u0250" for c in letters) < len(letters) / 2:  # Latin
        return False
    words = re.findall(r"[^\W\d_]+", _QUOTED.sub(" ", text).casefold())
    return len(words) < WORDS_TO_TELL or sum(
        _ENGLISH.fullmatch(word) is not None for word in words
    ) >= ENGLISH_SHARE * len(words)


def reasons_of(value: Any) -> Iterator[str]:
    """Every reason in a reply."""
    if isinstance(value, Mapping):
        for key, inside in value.items():
            yield from inside.values() if key == "reasons" else [inside] if key == "reason" else reasons_of(inside)


def shortened(reason: str) -> str:
    """A reason as a record holds it."""
    line = " ".join(reason.split())
    return line if len(line) <= REASON_CHARACTERS else f"{line[:REASON_CHARACTERS]}..."


def _first(error: ValidationError) -> str:
    mistake = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, mistake["loc"]))
    said = mistake["msg"].removeprefix("Value error, ")
    return f"{place}: {said[:1].lower()}{said[1:]}" if place else said


def joined(reasons: Iterable[str]) -> str:
    """Several reasons as one."""
    return shortened(" ".join(reason for reason in reasons if reason))
