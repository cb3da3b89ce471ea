"""What is written to disk: model folders that transformers loads, and checkpoints that a killed run resumes from.

Only safetensors and JSON, each written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.config import from_hugging_face, to_hugging_face
from model.decoder import Decoder

log = logging.getLogger(__name__)

TOKENIZER_EXTRAS = ("chat_template.jinja", "tokenizer_config.json")  # may lie beside a tokenizer.json
KEEP = 2  # checkpoints: the newest, and the one before in case the newest turns out to be unreadable


def save_model(folder: Path, model: Decoder, *, tokenizer: Path | None) -> None:
    """Write a model folder: model.safetensors, config.json and, where given, the tokenizer's files.

    tokenizer: a tokenizer.json; chat_template.jinja and tokenizer_config.json beside it, where there, come
    along, and tokenizer_config.json is told the model's context. Loadable by transformers where the shape has a
    Hugging Face type, see `ModelConfig.why_not_exportable`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    replace_file(folder / "model.safetensors", lambda path: save_file(tensors, path, metadata={"format": "pt"}))
    text = json.dumps(to_hugging_face(model.config), indent=2, sort_keys=True) + "\n"
    replace_file(folder / "config.json", lambda path: path.write_text(text, encoding="utf-8"))
    if tokenizer is not None:
        _copy_tokenizer(tokenizer, folder, context=model.config.context)


def _copy_tokenizer(tokenizer: Path, folder: Path, *, context: int) -> None:
    replace_file(folder / "tokenizer.json", lambda path: shutil.copyfile(tokenizer, path))
    template, settings = (tokenizer.with_name(name) for name in TOKENIZER_EXTRAS)
    if template.exists():
        replace_file(folder / template.name, lambda path: shutil.copyfile(template, path))
    if settings.exists():
        known = {**json.loads(settings.read_text(encoding="utf-8")), "model_max_length": context}
        text = json.dumps(known, indent=2, sort_keys=True) + "\n"
        replace_file(folder / settings.name, lambda path: path.write_text(text, encoding="utf-8"))


def load_model(folder: Path, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Decoder:
    """Read a model folder back, ready to evaluate. Raises ValueError naming the file and what is wrong with it."""
    try:
        config = from_hugging_face(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        tensors = _read_tensors(folder / "model.safetensors")[0]
    except (OSError, json.JSONDecodeError, SafetensorError) as error:
        raise ValueError(f"{folder} holds no readable model: {error}") from error
    model = Decoder(config, dtype=dtype)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{folder / 'model.safetensors'} does not fit its config.json: {error}") from error
    return model.to(device).eval()


class Checkpoints:
    """The states of one run in one folder, one safetensors file a step with its JSON state in the header."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, *, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Write the state after `step` steps, whole or not at all, then drop all but the newest two."""
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        text = json.dumps(state, sort_keys=True)
        metadata = {"state": text, "sha256": _digest(kept, text)}
        replace_file(self._path(step), lambda path: save_file(kept, path, metadata=metadata))
        for old in self._paths()[:-KEEP]:
            old.unlink()

    def latest(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The newest state that can be read, or None. An unreadable one is reported in one line and passed over."""
        for path in reversed(self._paths()):
            try:
                tensors, metadata = _read_tensors(path)
                if _digest(tensors, metadata["state"]) != metadata["sha256"]:
                    raise ValueError("its checksum is wrong")
                state: dict[str, Any] = json.loads(metadata["state"])
            except (OSError, SafetensorError, KeyError, ValueError) as error:
                log.warning("checkpoint %s is corrupt (%s); using the one before, or starting over", path.name, error)
                continue
            return tensors, state
        return None

    def drop_newest(self) -> None:
        """Forget the newest state; a run that goes on makes it again."""
        for path in self._paths()[-1:]:
            path.unlink()

    def remove(self) -> None:
        """Forget the run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.safetensors"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.safetensors"))


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().data)
    return digest.hexdigest()


def replace_file(path: Path, write: Any) -> None:
    partial = path.with_name(f".{path.name}.partial")
    write(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
