"""Small model folders, as the chain leaves them: random weights, a trained tokenizer, the files of a chat."""

from pathlib import Path
from typing import Any

from model.checkpoint import save_model
from model.decoder import Decoder
from tasks.chat import write_chat_files, write_generation_config
from tasks.exporting.source import Source, Told, read_source
from tasks.tokenizer_kinds import Kind, PreTokenizer, train_tokenizer
from tests.conftest import sentences
from tests.model import small

TEXTS = [*sentences(60), "system\n user\n assistant\n Where is the fox? Räven är ute på ängen."]
PROMPTS = ("Once upon a time", "The fox", " ", 'Mina said: "Look!"\n\nThen', "Räven är ute på", "12 red balls, 3 dogs")


def folder(
    at: Path, *, chats: bool = True, kind: Kind = "bpe", pre_tokenizer: PreTokenizer = "gpt-2", **changes: Any
) -> Path:
    """A model folder; chats: that of a fine-tuned model."""
    given = at.with_name(f"{at.name}-tokenizer")
    given.mkdir(parents=True)
    tokenizer = train_tokenizer(TEXTS, kind=kind, vocabulary_size=700, pre_tokenizer=pre_tokenizer)
    tokenizer.save(str(given / "tokenizer.json"))
    write_chat_files(given)
    size = {"vocabulary_size": tokenizer.get_vocab_size() + 5, "context": 128}  # some ids are no token's
    save_model(at, small.decoder(awake=True, **(size | changes)), tokenizer=given / "tokenizer.json")
    if chats:
        write_generation_config(at)
    return at


def source(at: Path, told: Told | None = None, **changes: Any) -> Source:
    return read_source(folder(at, **changes), name="fledgling", told=told or Told())


def asked(made: Source) -> list[list[int]]:
    """The ids of PROMPTS, as `generate` takes them."""
    return [made.tokenizer.encode(text, add_special_tokens=False).ids for text in PROMPTS]


def continued(decoder: Decoder, ids: list[list[int]], *, tokens: int, **changes: Any) -> list[list[int]]:
    """What `generate` goes on with; without changes the likeliest token each time."""
    from model.generation import Decoding, generate

    decoding = Decoding(max_tokens=tokens, **({"temperature": 0.0} | changes))
    return generate(decoder, ids, decoding=decoding, seeds=range(len(ids)), batch=1)
