"""`fledgling generate`: a prompt gone on with, or replied to, by the workspace's model or a registered one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.stage import UserError
from tasks.workspace import MODELS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.decoder import Decoder

TASKS = ("classification", "summarization", "translation", "assistant")


def continuation(prompt: str, *, max_tokens: int, temperature: float, seed: int, version: str | None) -> str:
    """What the model adds to the prompt, computed in fp32.

    version: a number or an alias of the MLflow registry; None: the newest model of the workspace. Raises
    UserError where there is no such model, or it can't be read.
    """
    with model_folder(version) as folder:
        return _continue(folder, prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)


def reply(prompt: str, *, task: str, max_tokens: int, temperature: float, seed: int, version: str | None) -> str:
    """What a fine-tuned model answers to the prompt as a user's message, rendered by the chat template.

    task: one of TASKS; what tells the model its task is the prompt itself, as in the mixture. Otherwise as
    `continuation`. Raises UserError also for an unknown task, and for a model that was not taught to chat.
    """
    if task not in TASKS:
        raise UserError(f"--task '{task}' is unknown; allowed: {', '.join(TASKS)}")
    with model_folder(version) as folder:
        return _reply(folder, prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)


@contextmanager
def model_folder(version: str | None) -> Iterator[Path]:
    """The folder of a registered model while it is needed; version: as `continuation` has it, and its errors."""
    if version is None:
        yield newest_model()
        return
    with tempfile.TemporaryDirectory(prefix="fledgling-") as scratch:
        yield _download(version, Path(scratch))


def newest_model() -> Path:
    """The folder of the workspace's newest model: aligned, else finetuned, else base."""
    for folder in MODELS:
        if (folder / "model.safetensors").exists():
            return folder
    raise UserError(f"there is no model yet ({', '.join(map(str, MODELS))}); `make pipeline` makes one")


def _continue(folder: Path, prompt: str, *, max_tokens: int, temperature: float, seed: int) -> str:
    from model.generation import Decoding, generate

    model, tokenizer = _load(folder)
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    decoding = Decoding(max_tokens=max_tokens, temperature=temperature)
    (added,) = generate(model, [ids], decoding=decoding, seeds=[seed])
    return str(tokenizer.decode(added, skip_special_tokens=False))


def _reply(folder: Path, prompt: str, *, max_tokens: int, temperature: float, seed: int) -> str:
    from model.generation import Decoding, generate
    from tasks.chat import END_OF_TURN, encode_questions, is_taught_to_chat

    if (folder / "model.safetensors").exists() and not is_taught_to_chat(folder):
        raise UserError(
            f"{folder} holds a base model, which was not taught to reply: without --task it goes on from the "
            "prompt; `make pipeline` makes models/finetuned"
        )
    model, tokenizer = _load(folder)
    decoding = Decoding(max_tokens=max_tokens, temperature=temperature)
    asked = encode_questions(tokenizer, [prompt])
    (added,) = generate(model, asked, decoding=decoding, seeds=[seed], stop=(END_OF_TURN,))
    return str(tokenizer.decode(added, skip_special_tokens=True)).strip()


def _load(folder: Path) -> "tuple[Decoder, Tokenizer]":
    """The model in fp32, and its tokenizer. Raises UserError where they can't be read."""
    from model.checkpoint import load_model
    from tasks.tokenizer_kinds import load_tokenizer

    try:
        return load_model(folder), load_tokenizer(folder / "tokenizer.json")
    except Exception as error:  # tokenizers raises a bare Exception
        raise UserError(f"{folder}: {str(error).splitlines()[0]}; `make pipeline` makes the model anew") from None


def _download(version: str, scratch: Path) -> Path:
    """Fetches a registered version's artefacts; returns the model folder inside."""
    from tasks.registry.versions import in_one_line, number_of, registry
    from tasks.serving.versions import download

    with in_one_line():
        return download(number_of(registry(), version), scratch)
