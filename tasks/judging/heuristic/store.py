"""What a heuristic judge has learnt, as a folder of JSON and safetensors: the same bytes each time it is written."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from tasks import stage
from tasks.cleaning.safety import SafetyParams
from tasks.judging.heuristic.language_model import TOKENIZER, NgramLanguageModel, Subwords, restore_language_model
from tasks.judging.heuristic.measures import Copied, Knowledge
from tasks.judging.heuristic.params import HeuristicParams
from tasks.judging.heuristic.places import Places
from tasks.judging.heuristic.reference import Usual
from tasks.judging.heuristic.vocabulary import Vocabulary
from tasks.judging.rubric import Part
from tasks.stage import UserError

FACTS, NUMBERS = "judge.json", "judge.safetensors"
LANGUAGE_MODEL = "language_model/"  # before the names of its arrays


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """All that a judge rests on. usual: of each part of the rubric, what its measures usually are."""

    params: HeuristicParams
    policy: SafetyParams
    knowledge: Knowledge
    usual: Mapping[Part, Mapping[str, Usual]]
    model: NgramLanguageModel


def save_learnt(learnt: Learnt, folder: Path) -> None:
    """Writes the files of a judge."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "params": learnt.params.model_dump(mode="json"),
        "policy": learnt.policy.model_dump(mode="json"),
        "usual": {part: {name: asdict(one) for name, one in by.items()} for part, by in learnt.usual.items()},
        "words": dict(sorted(learnt.knowledge.vocabulary.counts.items())),
        "placed_words": list(learnt.knowledge.places.words),
    }
    arrays = {f"{LANGUAGE_MODEL}{name}": array for name, array in learnt.model.arrays().items()}
    arrays |= {
        "places": learnt.knowledge.places.gains,
        "copied": learnt.knowledge.copied.hashes.view(np.int64),
    }
    if isinstance(learnt.model.units, Subwords):
        stage.write_text(folder / TOKENIZER, learnt.model.units.tokenizer.to_str(pretty=True))
    numbers = save({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())})
    (folder / NUMBERS).write_bytes(numbers)
    stage.write_text(folder / FACTS, json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def load_learnt(folder: Path) -> Learnt:
    """Reads them. Raises UserError where they are missing or damaged."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        arrays = load_file(folder / NUMBERS)
        return _restored(facts, arrays, folder)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename or folder}: no such file; the stage calibrate makes it") from None
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder}: holds no readable heuristic judge: {error}") from error


def _restored(facts: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], folder: Path) -> Learnt:
    params = HeuristicParams.model_validate_json(json.dumps(facts["params"]))
    model = {n.removeprefix(LANGUAGE_MODEL): array for n, array in arrays.items() if n.startswith(LANGUAGE_MODEL)}
    return Learnt(
        params=params,
        policy=SafetyParams.model_validate_json(json.dumps(facts["policy"])),
        knowledge=Knowledge(
            vocabulary=Vocabulary(facts["words"]),
            places=Places({word: at for at, word in enumerate(facts["placed_words"])}, arrays["places"]),
            copied=Copied(params.copied_ngram, arrays["copied"].view(np.uint64)),
        ),
        usual={part: {name: Usual(**one) for name, one in by.items()} for part, by in facts["usual"].items()},
        model=restore_language_model(params.language_model, model, folder),
    )
