"""What the starting model makes of the data: computed once a run, kept beside its checkpoints."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.checkpoint import replace_file
from model.decoder import Decoder
from model.preferences.judged import Reference
from model.preferences.likelihood import document_log_probs
from tasks.aligning.answering import Questions, Said
from tasks.aligning.data import Data

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the starting model makes of the data: the reference of everything after it."""

    train: Reference
    held_out: Reference
    said: Said


def starting_point(path: Path, decoder: Decoder, data: Data, questions: Questions) -> Start:
    """What the starting model makes of the data, from the file where an earlier attempt at this run has written it."""
    found = _kept(path)
    if found is None:
        log.info(
            "the starting model's log-probabilities of %d answers", data.train.members.size + data.held_out.members.size
        )
        tensors = {
            name: document_log_probs(decoder, judged.documents, range(len(judged.documents)))
            for name, judged in (("train", data.train), ("held_out", data.held_out))
        }
        found = tensors, questions.ask(decoder)
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"said": json.dumps(asdict(found[1]))}
        replace_file(path, lambda partial: save_file(tensors, partial, metadata=metadata))
    tensors, said = found
    return Start(
        train=Reference.of(data.train.documents, tensors["train"]),
        held_out=Reference.of(data.held_out.documents, tensors["held_out"]),
        said=said,
    )


def _kept(path: Path) -> tuple[dict[str, Tensor], Said] | None:
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            said = Said(**json.loads(file.metadata()["said"]))
            return {name: file.get_tensor(name) for name in ("train", "held_out")}, said
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        log.warning("%s is corrupt (%s): made again", path, error)
        return None
