"""`fledgling generate`: a raw continuation of a prompt, by the workspace's model or a registered one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.stage import UserError

MODELS = tuple(Path("models") / name for name in ("aligned", "finetuned", "base"))  # the newest first


def continuation(prompt: str, *, max_tokens: int, temperature: float, seed: int, version: str | None) -> str:
    """What the model adds to the prompt, computed in fp32.

    version: a number or an alias of the MLflow registry; None: the newest model of the workspace. Raises
    UserError where there is no such model, or it can't be read.
    """
    with _folder(version) as folder:
        return _continue(folder, prompt, max_tokens=max_tokens, temperature=temperature, seed=seed)


@contextmanager
def _folder(version: str | None) -> Iterator[Path]:
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
    from model.checkpoint import load_model
    from model.generation import Decoding, generate
    from tasks.tokenizer_kinds import load_tokenizer

    try:
        model = load_model(folder)
        tokenizer = load_tokenizer(folder / "tokenizer.json")
    except Exception as error:  # tokenizers raises a bare Exception
        raise UserError(f"{folder}: {str(error).splitlines()[0]}; `make pipeline` makes the model anew") from None
    decoding = Decoding(max_tokens=max_tokens, temperature=temperature, top_p=1.0, top_k=0, repetition_penalty=1.0)
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    (added,) = generate(model, [ids], decoding=decoding, seeds=[seed])
    return str(tokenizer.decode(added, skip_special_tokens=False))


def _download(version: str, scratch: Path) -> Path:
    """Fetches a registered version's artefacts; returns the model folder inside."""
    from tasks.register import NAME
    from tasks.registry import store

    own = store.tracking_uri().startswith("sqlite:")
    if own and not store.DATABASE.exists() and "MLFLOW_TRACKING_URI" not in os.environ:
        raise UserError(f"there is no registry yet ({store.DATABASE}); `make pipeline` makes it, and a model in it")
    client = store.connect()
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        number = _number(client, NAME, version)
        download_artifacts(artifact_uri=f"models:/{NAME}/{number}", dst_path=str(scratch))
    except MlflowException as error:
        raise UserError(f"{store.tracking_uri()}: {str(error).splitlines()[0]}") from None
    found = sorted(path.parent for path in scratch.rglob("model.safetensors"))
    if not found:
        raise UserError(f"version {number} of '{NAME}' holds no model folder (model.safetensors)")
    return found[0]


def _number(client: Any, name: str, version: str) -> str:
    """The number of the version that is meant. Raises UserError with what there is instead."""
    numbers = [str(found.version) for found in client.search_model_versions(f"name='{name}'")]
    if not numbers:
        raise UserError(f"the registry holds no version of '{name}'; `make pipeline` registers one")
    aliases = {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}
    number = aliases.get(version, version)
    if number not in numbers:
        there_is = ", ".join([*sorted(numbers, key=int), *sorted(aliases)])
        raise UserError(f"the registry has no version or alias '{version}' of '{name}'; there is {there_is}")
    return number
