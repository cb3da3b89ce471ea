"""A story told from its plan."""

import random
from collections.abc import Iterator

from tasks.storybook.generator import annotate
from tasks.storybook.generator.inflect import polish
from tasks.storybook.generator.plan import Plan, draw_plan
from tasks.storybook.generator.plots import Lines, phrases
from tasks.storybook.generator.telling import Telling, Value
from tasks.storybook.generator.template import parse
from tasks.storybook.generator.wording import reword
from tasks.storybook.generator.words import lexicon
from tasks.storybook.story import Feature, Story, Translation

WORDS = (85, 205)
TELLINGS = 6  # so often a plan is told anew until its length is right; the last one stays
MORAL_SHARE = 0.35
HINT_SHARE = 0.5
ATTEMPT_SHARE = 0.75
JOIN_SHARES = (0.25, 0.3, 0.6)  # how often a beat stays in the paragraph of the one before it


def generate_stories(*, seed: int, count: int) -> Iterator[Story]:
    """The first `count` stories of a seed; story i depends on (seed, i) alone."""
    for index in range(count):
        yield one_story(seed=seed, index=index)


def one_story(*, seed: int, index: int) -> Story:
    """Story `index` of a seed."""
    rng = random.Random(f"storybook {seed} {index}")
    plan = draw_plan(rng)
    for _ in range(TELLINGS):
        telling = Telling(rng, _values(plan), phrases(plan.plot.register), verbosity=rng.uniform(0.25, 0.85))
        text, turn, features = _text(plan, telling)
        if WORDS[0] <= text.count(" ") + text.count("\n\n") + 1 <= WORDS[1]:
            break
    swedish = tuple(
        Translation(english=english, swedish=swedish) for english, swedish in telling.twins[:3] if english in text
    )
    return Story(
        id=f"generated-{seed}-{index:06d}",
        title=_title(polish(telling.tell(plan.plot.title))),
        text=text,
        theme=plan.theme,
        feeling=plan.feeling,
        features=features,
        words=annotate.three_words(text, rng),
        moral=polish(telling.tell(telling.rules[f"moral_{plan.theme}"])),
        summary=annotate.summary(plan, telling),
        questions=annotate.questions(plan, telling, text),
        swedish=swedish,
        turn=turn,
        plan=plan.key,
    )


def _values(plan: Plan) -> dict[str, Value]:
    nouns = lexicon().nouns
    values: dict[str, Value] = {
        "H": plan.hero,
        "F": plan.friend,
        "G": plan.helper,
        "kind": plan.world,
        "weather": plan.plot.weather,
        "theme": plan.theme,
        "feeling": plan.feeling,
    }
    return values | {name: nouns.get(cell, cell) for name, cell in plan.kit.items()}


def _text(plan: Plan, telling: Telling) -> tuple[str, str, tuple[Feature, ...]]:
    """The paragraphs, the one of the trouble, and the narrative features that they came to have."""
    rng = telling.rng
    for name, cell in plan.kit.items():
        if isinstance(telling.values[name], str) and any(mark in cell for mark in "([<{"):
            telling.values[name] = _told_once(cell, telling)
    hinted = bool(plan.plot.hint) and rng.random() < HINT_SHARE
    moral = not plan.way.bad and rng.random() < MORAL_SHARE
    opening = [telling.tell(telling.rules["intro"])]
    opening.append(telling.tell(plan.plot.start))
    if telling.chance():
        opening.insert(rng.randint(1, len(opening)), telling.tell(telling.rules["scene"]))
    if hinted:
        opening.append(telling.tell(plan.plot.hint))
    trouble = [telling.tell(plan.problem.text), _felt(plan, telling)]
    if plan.problem.tries and plan.plot.attempt and rng.random() < ATTEMPT_SHARE:
        trouble.append(telling.tell(plan.plot.attempt))
    if plan.feeling != "proud" and telling.chance():
        trouble.append(telling.tell(telling.rules["pause"]))
    way = [telling.tell(plan.way.text)]
    end = [_end(plan, telling, " ".join([*opening, *trouble, *way]))]
    if moral:
        end.append(telling.tell(telling.rules[f"told_moral_{plan.theme}"]))
    text, turn = _paragraphs([opening, trouble, way, end], rng)
    return text, turn, _features(plan, text, hinted=hinted, moral=moral)


def _told_once(cell: str, telling: Telling) -> str:
    return parse(cell)(telling)


def _felt(plan: Plan, telling: Telling) -> str:
    own = plan.problem.feel.get(plan.feeling)
    if own and telling.rng.random() < 0.5:
        return telling.tell(own)
    return telling.tell(telling.rules[f"feel_{plan.feeling}"])


def _end(plan: Plan, telling: Telling, so_far: str) -> str:
    """An ending in which nobody turns up who was not there."""
    for _ in range(8):
        end = telling.tell(_ending(plan, telling))
        if all(person.name in so_far or person.name not in end for person in (plan.friend, plan.helper)):
            break
    return end


def _ending(plan: Plan, telling: Telling) -> Lines:
    if plan.way.end:
        return plan.way.end
    if plan.plot.end and telling.rng.random() < 0.6:
        return plan.plot.end
    return telling.rules["end"]


def _paragraphs(beats: list[list[str]], rng: random.Random) -> tuple[str, str]:
    """Two to four paragraphs, and the one that holds the second beat; a beat may join the one before it."""
    groups = [" ".join(part for part in beat if part) for beat in beats]
    joined = [rng.random() < share for share in JOIN_SHARES]
    if all(joined):
        joined[1] = False
    text = groups[0]
    for group, joins in zip(groups[1:], joined, strict=True):
        text += (" " if joins else "\n\n") + group
    told = polish(reword(polish(text), rng))
    return told, told.split("\n\n")[0 if joined[0] else 1]


def _features(plan: Plan, text: str, *, hinted: bool, moral: bool) -> tuple[Feature, ...]:
    there: dict[Feature, bool] = {
        "dialogue": '"' in text,
        "conflict": plan.problem.conflict,
        "twist": plan.way.twist,
        "foreshadowing": hinted,
        "moral": moral,
        "bad ending": plan.way.bad,
    }
    return tuple(feature for feature, found in there.items() if found)


_SMALL = frozenset(["a", "an", "the", "and", "of", "in", "on", "at", "to", "for", "with", "that", "who", "from", "by"])


def _title(text: str) -> str:
    words = text.split()
    return " ".join(
        word if index and word in _SMALL else word[:1].upper() + word[1:] for index, word in enumerate(words)
    )
