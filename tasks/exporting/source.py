"""A model folder as an export takes it: read whole and checked before a byte is written."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.stage import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.decoder import Decoder


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is said of a model. card: markdown; licences: of the data it was raised on; figures: its metrics by name."""

    card: str = ""
    licences: tuple[str, ...] = ()
    figures: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Source:
    """What leaves: a model folder's content, in float32."""

    folder: Path
    decoder: "Decoder"
    tokenizer: "Tokenizer"
    chats: bool  # whether the model was taught to reply
    name: str
    told: Told


def read_source(folder: Path, *, name: str, told: Told) -> Source:
    """Reads a model folder.

    Raises UserError where it can't be read, and for a shape or a vocabulary that no other library knows.
    """
    from model.checkpoint import load_model
    from tasks.chat import is_taught_to_chat
    from tasks.tokenizer_kinds import load_tokenizer

    if not (folder / "model.safetensors").is_file():
        raise UserError(f"{folder} holds no model.safetensors: it is no model folder of this project")
    try:
        decoder = load_model(folder)
    except (ValueError, TypeError) as error:
        raise UserError(str(error).splitlines()[0]) from error
    if why_not := decoder.config.why_not_exportable():
        raise UserError(f"{folder}: {why_not}")
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    if (size := tokenizer.get_vocab_size()) > (room := decoder.config.vocabulary_size):
        raise UserError(f"{folder}: its tokenizer.json knows {size} tokens, its model {room}; both must be of one run")
    chats = is_taught_to_chat(folder)
    return Source(folder=folder, decoder=decoder, tokenizer=tokenizer, chats=chats, name=name, told=told)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder that is there when all of it is. Raises UserError where something stands in its place."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already and not empty; name a new folder")
    with _unwritable(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
            made = Path(scratch) / folder.name
            made.mkdir()
            yield made
            shutil.rmtree(folder, ignore_errors=True)
            made.replace(folder)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file that is there when all of it is, in place of the one before. Raises UserError for a folder."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file, such as {path / 'fledgling.gguf'}")
    with _unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
            made = Path(scratch) / path.name
            yield made
            made.replace(path)


@contextmanager
def _unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror or error}") from error
