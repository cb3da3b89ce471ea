"""The chat format: one function renders conversations for training, evaluation and serving.

ChatML, as Qwen's models speak it: `<|im_start|>ROLE\\nCONTENT<|im_end|>\\n` for each message.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from tasks import stage
from tasks.tokenizer_kinds import END, SPECIAL_TOKENS

START_OF_TURN, END_OF_TURN, PAD = 1, 2, 3
ROLES = ("system", "user", "assistant")

# Jinja; transformers, vLLM and llama.cpp read it from chat_template.jinja
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] | trim) + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

Message = Mapping[str, str]


@dataclass(frozen=True)
class Rendered:
    """A conversation as token ids, and which of them a model learns to say."""

    ids: list[int]
    taught: list[bool]  # the tokens of assistants' contents and the END_OF_TURN after each


def render_text(messages: Sequence[Message], *, ask: bool = False) -> str:
    """The text that transformers renders from the exported folder; with `ask` it ends where a reply begins.

    For people and for comparison. It is not what a model is fed: "<|im_end|>" typed by a user looks like a
    special token here, and `transformers` takes it for one; `encode_chat` never does.
    """
    turns = [f"<|im_start|>{_header(message)}{message['content'].strip()}<|im_end|>\n" for message in messages]
    return "".join(turns) + ("<|im_start|>assistant\n" if ask else "")


def encode_chat(tokenizer: Tokenizer, messages: Sequence[Message], *, ask: bool = False) -> Rendered:
    """The token ids of a conversation; with `ask` they end where the assistant's reply begins.

    tokenizer: by `tokenizer_kinds.load_tokenizer`. Special tokens are put in by number and never come from a
    content; on contents that spell none the ids are those transformers gives for `render_text`. What `ask`
    renders is the beginning of the same conversation with its answer. Raises ValueError for an unknown role,
    and for a tokenizer that would read special tokens out of a text.
    """
    return encode_chats(tokenizer, [messages], ask=ask)[0]


def encode_chats(
    tokenizer: Tokenizer, conversations: Iterable[Sequence[Message]], *, ask: bool = False
) -> list[Rendered]:
    """`encode_chat` of many conversations, on all cores."""
    if not tokenizer.encode_special_tokens:
        raise ValueError("the tokenizer reads special tokens out of texts; tokenizer_kinds.load_tokenizer guards it")
    chats = list(conversations)
    pieces = [_header(message) + message["content"].strip() for messages in chats for message in messages]
    newline, question, *encoded = tokenizer.encode_batch(["\n", "assistant\n", *pieces], add_special_tokens=False)
    turns = iter(encoded)
    rendered = []
    for messages in chats:
        chat = Rendered(ids=[], taught=[])
        for message in messages:
            _add_turn(chat, message, next(turns), newline.ids)
        if ask:
            _add(chat, [START_OF_TURN, *question.ids], [False] * (1 + len(question.ids)))
        rendered.append(chat)
    return rendered


def encode_questions(tokenizer: Tokenizer, questions: Iterable[str]) -> list[list[int]]:
    """The token ids of chats of one question each, up to where its answer begins; see `encode_chat`."""
    asked = ([{"role": "user", "content": question}] for question in questions)
    return [chat.ids for chat in encode_chats(tokenizer, asked, ask=True)]


def write_chat_files(folder: Path) -> None:
    """Writes chat_template.jinja and tokenizer_config.json, for transformers, beside a tokenizer.json."""
    stage.write_text(folder / "chat_template.jinja", CHAT_TEMPLATE)
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": None,
            "eos_token": SPECIAL_TOKENS[END_OF_TURN],  # as Qwen's chat models; documents end in END all the same
            "pad_token": SPECIAL_TOKENS[PAD],
            "clean_up_tokenization_spaces": False,
        },
    )


def write_generation_config(folder: Path) -> None:
    """Writes generation_config.json into the folder of a model that was taught to chat.

    With it transformers and vLLM stop by themselves at the end of a turn; `is_taught_to_chat` looks for it.
    """
    _write_json(
        folder / "generation_config.json",
        {"bos_token_id": END, "eos_token_id": [END_OF_TURN, END], "pad_token_id": PAD},
    )


def is_taught_to_chat(folder: Path) -> bool:
    """Whether a model folder says that its model ends a turn by END_OF_TURN (a base model's does not)."""
    try:
        ends = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return END_OF_TURN in (ends if isinstance(ends, list) else [ends])


def _header(message: Message) -> str:
    if message["role"] not in ROLES:
        raise ValueError(f"a message's role is '{message['role']}'; allowed: {', '.join(ROLES)}")
    return f"{message['role']}\n"


def _add_turn(chat: Rendered, message: Message, encoding: Encoding, newline: Sequence[int]) -> None:
    """Adds one message. Header and content are encoded in one piece, as transformers does it."""
    answers = message["role"] == "assistant"
    header = len(_header(message))
    content = [start >= header for start, _ in encoding.offsets] if answers else [False] * len(encoding.ids)
    _add(chat, [START_OF_TURN, *encoding.ids], [False, *content])
    _add(chat, [END_OF_TURN, *newline], [answers, *(False for _ in newline)])


def _add(chat: Rendered, ids: list[int], taught: list[bool]) -> None:
    chat.ids.extend(ids)
    chat.taught.extend(taught)


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    stage.write_text(path, json.dumps(values, indent=2, sort_keys=True) + "\n")
