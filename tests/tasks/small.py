"""A small workspace for what comes after `mix`: a tokenizer, a base model, a mixture of four tasks, parameters."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer

from model.checkpoint import save_model
from model.config import ModelConfig
from model.decoder import Decoder, initialise
from model.documents import Document, token_dtype, write_documents
from tasks.chat import encode_chat, write_chat_files
from tasks.finetune import FinetuneParams
from tasks.pretrain import PretrainParams
from tasks.tokenizer_kinds import load_tokenizer, train_tokenizer
from tasks.training import Samples
from tests.conftest import sentences

TOKENIZER, TOKENS = Path("data/tokenizer/tokenizer.json"), Path("data/tokens")
BASE, MIXTURE = Path("models/base"), Path("data/mixture")

TASKS = ("classification", "summarization", "translation", "assistant")
COUNTS = {"train": 24, "validation": 4, "test": 12, "written": 4}  # rows of each task; of translation half
CONTEXT, VOCABULARY = 128, 400

Row = dict[str, Any]


def row(task: str, request: str, answer: str, *, document: str = "", group: str, **more: Any) -> Row:
    """A row of the mixture."""
    messages = [{"role": "user", "content": request}, {"role": "assistant", "content": answer}]
    return {
        "id": f"{task} {group} {more.get('aspect', '')}", "task": task, "kind": task, "source": "tests",
        "licence": "CC0-1.0", "origin": "tests", "group": group, "messages": json.dumps(messages), "answer": answer,
        "references": json.dumps([answer] if answer else []), "document": document, "label": "", "constraints": "{}",
        "answerable": True, "aspect": "", **more,
    }  # fmt: skip


def rows(split: str) -> list[Row]:
    """The rows of a split: each task's in their turn."""
    start = 1000 * list(COUNTS).index(split)
    return [found for n in range(start, start + COUNTS[split]) for found in _rows(split, n)]


def _rows(split: str, n: int) -> Iterator[Row]:
    name, feeling = ("Mina", "Ola", "Tom")[n % 3], ("sad", "proud")[n % 2]
    event = {"sad": "lost a ball", "proud": "won a prize"}[feeling]
    story = f"{name} was out, {n}. {name} {event}. The sun set. It was late."
    group = f"story {n}"
    yield row("classification", f"{story} Feeling?", feeling, document=story, label=feeling, group=group)
    yield row("summarization", f"{story} Short?", f"{name} {event}.", document=story, group=group)
    if n % 2 == 0:
        line = f"The {name} ball, {n}."
        yield row("translation", f"{line} Swedish?", f"Bollen {name}, {n}.", document=line, group=group)
    question: dict[str, Any] = {"document": story, "group": group, "aspect": "question"}
    if n % 4:
        yield row("assistant", f"{story} Who?", name, **question)
    else:
        yield row("assistant", f"{story} Why?", "It does not say.", **question, answerable=False)
    if n % 3 == 0:
        told = f"{name} had a boat." if split in ("train", "validation") else ""  # nobody wrote an answer to test with
        asked = f"Write a story with the words boat, {name}."
        constraints = json.dumps({"words": ["boat", name]})
        yield row("assistant", asked, told, group=f"request {n}", aspect="story", constraints=constraints)


def write_tokenizer() -> None:
    texts = [*sentences(40), *(f"user\n{json.loads(r['messages'])[0]['content']}" for r in rows("train"))]
    TOKENIZER.parent.mkdir(parents=True, exist_ok=True)
    train_tokenizer(texts, kind="bpe", vocabulary_size=VOCABULARY, pre_tokenizer="gpt-2").save(str(TOKENIZER))
    write_chat_files(TOKENIZER.parent)


def write_meta(folder: Path, splits: Sequence[str], *, vocabulary: int = VOCABULARY, **more: Any) -> None:
    known = {"dtype": "uint16", "vocabulary_size": vocabulary, "end_id": 0, "splits": {split: {} for split in splits}}
    (folder / "meta.json").write_text(json.dumps({**known, **more}))


def write_text() -> None:
    """Token files of pretraining text."""
    codec = load_tokenizer(TOKENIZER)
    splits = {"train": sentences(40), "validation": sentences(4, start=50)}
    for split, texts in splits.items():
        documents = [
            Document(ids=[*codec.encode(text, add_special_tokens=False).ids, 0], weight=1.0, size=len(text.encode()))
            for text in texts
        ]
        write_documents(TOKENS, split, documents, dtype=token_dtype(VOCABULARY), conversations=False)
    write_meta(TOKENS, list(splits))


def write_mixture() -> None:
    """The mixture as `mix` leaves it: a table of each split, and token files of those that are trained on."""
    MIXTURE.mkdir(parents=True, exist_ok=True)
    codec = load_tokenizer(TOKENIZER)
    for split in COUNTS:
        told = rows(split)
        pq.write_table(pa.Table.from_pylist(told), MIXTURE / f"{split}.parquet")
        if split in ("train", "validation"):
            documents = [_conversation(codec, one) for one in told]
            write_documents(MIXTURE / "tokens", split, documents, dtype=token_dtype(VOCABULARY), conversations=True)
    write_meta(MIXTURE / "tokens", ["train", "validation"], tasks=list(TASKS))
    write_declared(*TASKS)


def add_feedback() -> None:
    """What people said of the first training row of each task, after all other rows of the table."""
    told = rows("train")
    first = {one["task"]: one for one in reversed(told)}
    said = [{**one, "id": f"said of {task}", "source": "feedback"} for task, one in first.items()]
    pq.write_table(pa.Table.from_pylist([*told, *said]), MIXTURE / "train.parquet")


def _conversation(codec: Tokenizer, told: Row) -> Document:
    chat = encode_chat(codec, json.loads(told["messages"]))
    return Document(
        ids=[*chat.ids, 0], taught=[*chat.taught, False], task=TASKS.index(told["task"]),
        weight=1.0, size=len(told["answer"].encode()),
    )  # fmt: skip


def write_declared(*tasks: str, metrics: Sequence[str] = ()) -> None:
    """The mixture's tasks.json: which figures of each task are asked for, none named: all."""
    (MIXTURE / "tasks.json").write_text(json.dumps({task: {"metrics": list(metrics)} for task in tasks}))


@contextlib.contextmanager
def killed_at(last: int) -> Iterator[None]:
    """A training run ends by an interrupt at the evaluation of this step, its checkpoint saved."""
    tell = Samples.tell

    def interrupted(self: Samples, decoder: Decoder, *, step: int, seed: int) -> None:
        if step == last:
            raise KeyboardInterrupt
        tell(self, decoder, step=step, seed=seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Samples, "tell", interrupted)
        with pytest.raises(KeyboardInterrupt):
            yield


def decoder(*, seed: int = 0, **changes: Any) -> Decoder:
    """A model of a few thousand parameters that was never trained; none of them is zero, so every part matters."""
    shape: dict[str, Any] = {**SHAPE, "vocabulary_size": VOCABULARY, "end_id": 0, **changes}
    made = Decoder(ModelConfig(**shape))
    generator = torch.Generator().manual_seed(seed)
    initialise(made, generator=generator)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return made


def write_workspace() -> None:
    """In the working folder: tokenizer, pretraining text, mixture and base model."""
    for path, content in _workspace().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@cache
def _workspace() -> dict[Path, bytes]:
    """The files of a workspace, made once."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_tokenizer()
        write_text()
        write_mixture()
        save_model(BASE, decoder(), tokenizer=TOKENIZER)
        return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


SHAPE: dict[str, Any] = {
    "context": CONTEXT, "d_model": 16, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "d_head": 8, "d_ff": 24,
    "positions": "rope", "rope_theta": 10_000.0, "norm": "rmsnorm", "norm_eps": 1e-6, "activation": "swiglu",
    "qk_norm": True, "tied_embeddings": True,
}  # fmt: skip
_TRAINING: dict[str, Any] = {
    "optimiser": {
        "kind": "muon", "muon_lr": 0.02, "adamw_lr": 0.01, "muon_momentum": 0.95, "betas": [0.9, 0.95],
        "weight_decay": 0.0, "newton_schulz_steps": 3, "clip_norm": 1.0,
    },
    "schedule": {"warmup_steps": 2, "decay_share": 0.5, "final_share": 0.0},
    "sampling": {"prompts": ["Who?"], "max_tokens": 4, "temperature": 0.0, "top_p": 1.0},
    "budget_tokens": 12 * 2 * CONTEXT, "batch_tokens": 2 * CONTEXT, "micro_batch_tokens": CONTEXT, "evaluations": 3,
    "evaluation_documents": 8, "final_evaluation_documents": None, "patience": None, "min_gain": 0.0, "seed": 1,
    "threads": 1, "compile": "off", "precision": "fp32", "device": "cpu",
}  # fmt: skip


def finetuning(**changes: Any) -> FinetuneParams:
    """The section `finetune`, for 12 steps of two rows."""
    own = {
        "method": "full", "lora": {"rank": 2, "alpha": 4.0, "targets": ["q_proj", "v_proj"]}, "base_weights": "fp32",
        "tasks": None, "temperature": 2.0, "replay_share": 0.1, "answer_balance": 0.7,
    }  # fmt: skip
    return FinetuneParams.model_validate_json(json.dumps({**_TRAINING, **own, **changes}))


def pretraining(**changes: Any) -> PretrainParams:
    """The section `pretrain`, for 12 steps of two rows."""
    own = {"model": SHAPE, "initialisation": "random", "packing": "whole", "isolate_documents": True}
    return PretrainParams.model_validate_json(json.dumps({**_TRAINING, **own, **changes}))
