"""How a heuristic judge is made: from good stories alone. No fault is shown to it, no weight is fitted to one."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.cleaning.safety import SafetyParams
from tasks.evaluation.language import sentences
from tasks.judging.heuristic.language_model import train_language_model
from tasks.judging.heuristic.measures import Copied, Knowledge, measure_all, opening_kept
from tasks.judging.heuristic.params import HeuristicParams
from tasks.judging.heuristic.places import learn_places
from tasks.judging.heuristic.reading import Reading
from tasks.judging.heuristic.reference import Usual, usual
from tasks.judging.heuristic.store import Learnt, save_learnt
from tasks.judging.heuristic.vocabulary import Vocabulary
from tasks.judging.rubric import Part
from tasks.records import read_rows
from tasks.stage import UserError

log = logging.getLogger(__name__)

OPENING_WORDS = 8
LEAST_STORIES = 20  # of each of the two parts: with fewer there is no twentieth


@dataclass(frozen=True)
class _Story:
    text: str
    weight: float
    group: str


def train_heuristic(name: str, params: HeuristicParams, *, stories: Path, policy: SafetyParams, folder: Path) -> None:
    """Trains a judge on a split of its own and writes it to a folder.

    Most stories are learnt, the rest (whole plans, so that none has a twin among the learnt) gives the percentiles.
    Raises UserError where there are too few of either.
    """
    learnt, reference = _divided(list(_read(stories)), params.reference_share)
    if min(len(learnt), len(reference)) < LEAST_STORIES:
        raise UserError(
            f"{stories}: {len(learnt)} stories to learn from and {len(reference)} to measure for judge '{name}'; "
            f"at least {LEAST_STORIES} of each are needed"
        )
    texts = [story.text for story in learnt]
    model = train_language_model(params.language_model, texts)
    knowledge = Knowledge(
        vocabulary=Vocabulary.of(texts),
        places=learn_places([sentences(text) for text in texts]),
        copied=Copied.of(texts, params.copied_ngram),
    )
    whole = [(story.text, story.weight) for story in reference]
    parts = [(sentence, story.weight) for story in reference for sentence in sentences(story.text)[1:4]]

    def measured(weighted: Sequence[tuple[str, float]]) -> dict[str, Usual]:
        readings = [Reading(text, 0) for text, _ in weighted]
        rows = measure_all(readings, model=model, knowledge=knowledge, params=params)
        weights = [weight for _, weight in weighted]
        return {name: usual([row[name] for row in rows], weights) for name in rows[0]}

    found: dict[Part, dict[str, Usual]] = {"story": measured(whole), "task": measured(parts)}
    kept = [(opening_kept(Reading(text, _first_end(text)), knowledge.vocabulary), weight) for text, weight in whole]
    told = [(each["opening_kept"], weight) for each, weight in kept if each]
    found["story"]["opening_kept"] = usual([value for value, _ in told], [weight for _, weight in told])
    save_learnt(Learnt(params=params, policy=policy, knowledge=knowledge, usual=found, model=model), folder)
    log.info("judge %s: %d stories learnt, %d measured", name, len(learnt), len(reference))


def _read(path: Path) -> list[_Story]:
    if not path.exists():
        raise UserError(f"{path}: no such file; the stage prepare makes it")
    rows = read_rows(path, ["id", "text", "group", "weight"])
    return [_Story(str(row["text"]), float(str(row["weight"])), str(row["group"]) or str(row["id"])) for row in rows]


def _first_end(text: str) -> int:
    """Where the words of an opening end: those that a model is given to go on with."""
    return len(" ".join(text.split(" ")[:OPENING_WORDS]))


def _divided(stories: Sequence[_Story], share: float) -> tuple[list[_Story], list[_Story]]:
    """Those to learn and those to measure, by the hash of their plan."""
    measured = [_number(story.group) < share for story in stories]
    learnt = [story for story, is_measured in zip(stories, measured, strict=True) if not is_measured]
    return learnt, [story for story, is_measured in zip(stories, measured, strict=True) if is_measured]


def _number(group: str) -> float:
    """0 to 1, evenly."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
