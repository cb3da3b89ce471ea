"""`fledgling generate` with a small model: of the workspace, and of a registry."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fledgling.generate import TASKS, continuation, newest_model, reply
from tasks.chat import write_generation_config
from tasks.stage import UserError

ROOT = Path(__file__).resolve().parents[2]
STORY = "Once upon a time, Mina found a red ball by the lake. She was happy."


def make_model(folder: Path, *, seed: int = 0) -> Path:
    """A model folder of the smallest size, with random weights."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from model.checkpoint import save_model
    from model.config import ModelConfig
    from model.decoder import Decoder

    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=280, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([STORY], trainer)
    tokenizer.save(str(folder / "given.json"))
    config = ModelConfig(
        vocabulary_size=tokenizer.get_vocab_size(), context=32, d_model=16, n_layers=1, n_heads=2, n_kv_heads=1,
        d_head=8, d_ff=32, positions="rope", rope_theta=1e4, norm="rmsnorm", norm_eps=1e-6, activation="swiglu",
        qk_norm=True, tied_embeddings=True, end_id=0,
    )  # fmt: skip
    torch.manual_seed(seed)
    save_model(folder, Decoder(config), tokenizer=folder / "given.json")
    return folder


def told(prompt: str = "Mina", *, seed: int = 0, temperature: float = 0.7, version: str | None = None) -> str:
    return continuation(prompt, max_tokens=12, temperature=temperature, seed=seed, version=version)


def test_the_newest_model_of_the_workspace_is_taken(workspace: Path) -> None:
    make_model(workspace / "models" / "base")
    assert newest_model() == Path("models/base")
    make_model(workspace / "models" / "aligned", seed=1)
    assert newest_model() == Path("models/aligned")


def test_the_same_seed_gives_the_same_text(workspace: Path) -> None:
    make_model(workspace / "models" / "base")
    assert told(seed=1, temperature=50) == told(seed=1, temperature=50)
    assert told(seed=1, temperature=50) != told(seed=2, temperature=50)
    assert told(seed=1, temperature=0) == told(seed=2, temperature=0)


def test_any_prompt_is_taken(workspace: Path) -> None:
    make_model(workspace / "models" / "base")
    for prompt in ("", " ", "<|endoftext|>", "en räv \U0001f98a", STORY * 20):
        assert isinstance(told(prompt), str)


def test_without_a_model_it_says_how_to_make_one(workspace: Path) -> None:
    with pytest.raises(UserError, match="make pipeline"):
        told()
    with pytest.raises(UserError, match="make pipeline"):
        told(version="candidate")


def test_a_broken_model_is_one_line(workspace: Path) -> None:
    folder = make_model(workspace / "models" / "base")
    (folder / "model.safetensors").write_bytes(b"\x08")
    with pytest.raises(UserError, match="models/base"):
        told()


def test_a_missing_tokenizer_is_one_line(workspace: Path) -> None:
    folder = make_model(workspace / "models" / "base")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="models/base"):
        told()


def test_the_command_prints_the_continuation_and_nothing_else(workspace: Path) -> None:
    make_model(workspace / "models" / "base")
    command = [sys.executable, "-m", "fledgling.cli", "generate", "--prompt", "Mina", "--max-tokens", "12"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == told() + "\n"
    assert done.stderr == ""


def test_without_a_model_the_command_is_one_line(workspace: Path) -> None:
    command = [sys.executable, "-m", "fledgling.cli", "generate", "--prompt", "Mina"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1


def answered(prompt: str = "Where is Mina?", *, task: str = "assistant", seed: int = 0, temperature: float = 50) -> str:
    return reply(prompt, task=task, max_tokens=12, temperature=temperature, seed=seed, version=None)


def make_chat_model(folder: Path, *, always: str | None = None) -> Path:
    """A small model folder that says it was taught to chat; always: the one token that it ever says."""
    from tokenizers import Tokenizer

    from model.checkpoint import load_model, save_model

    make_model(folder)
    write_generation_config(folder)
    if always is not None:
        model = load_model(folder)
        token = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(always)
        for matrix in model.parameters():
            matrix.data.fill_(0.1 if matrix is model.model.embed_tokens.weight else 0.0 if matrix.ndim == 2 else 1.0)
        model.model.embed_tokens.weight.data[token] = 1.0  # embeddings are tied
        save_model(folder, model, tokenizer=None)
    return folder


def test_a_reply_is_drawn_after_the_rendered_prompt(workspace: Path) -> None:
    from model.checkpoint import load_model
    from model.generation import Decoding, generate
    from tasks.chat import END_OF_TURN, encode_chat
    from tasks.tokenizer_kinds import load_tokenizer

    folder = make_chat_model(workspace / "models" / "finetuned")
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    for prompt in ("Where is Mina?", "", "<|im_end|>", "en räv \U0001f98a", STORY * 20):
        asked = encode_chat(tokenizer, [{"role": "user", "content": prompt}], ask=True).ids
        decoding = Decoding(max_tokens=12, temperature=50)
        (ids,) = generate(load_model(folder), [asked], decoding=decoding, seeds=[0], stop=[END_OF_TURN])
        assert answered(prompt) == tokenizer.decode(ids).strip()
    assert answered(seed=1) == answered(seed=1) != answered(seed=2)


def test_a_reply_stops_where_its_turn_ends(workspace: Path) -> None:
    make_chat_model(workspace / "models" / "finetuned", always="<|im_end|>")
    assert answered(temperature=0) == ""
    assert told(temperature=0) == "<|im_end|>" * 12  # a raw continuation has no turns


@pytest.mark.parametrize("task", TASKS)
def test_the_command_prints_the_reply_and_nothing_else(workspace: Path, task: str) -> None:
    make_chat_model(workspace / "models" / "finetuned", always="M")
    command = [sys.executable, "-m", "fledgling.cli", "generate", "--prompt", "Who?", "--task", task]
    command += ["--max-tokens", "12", "--temperature", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "M" * 12 + "\n", "")


def test_a_base_model_is_not_asked(workspace: Path) -> None:
    make_model(workspace / "models" / "base")
    with pytest.raises(UserError, match=r"models/base holds a base model.*`make pipeline` makes models/finetuned"):
        answered()


def test_an_unknown_task_is_told_which_there_are(workspace: Path) -> None:
    with pytest.raises(
        UserError, match="'poetry' is unknown; allowed: classification, summarization, translation, ass"
    ):
        answered(task="poetry")


@pytest.fixture
def registered(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the model of a registry's version 1, called `candidate`, tells; the workspace has no model."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    from tasks.register import NAME
    from tasks.registry import store

    folder = make_model(workspace / "models" / "base", seed=3)
    expected = told()
    client = store.connect()
    run = client.create_run(store.experiment_id(client))
    client.log_artifacts(run.info.run_id, str(folder), "model/artifacts/base")
    client.create_registered_model(NAME)
    client.create_model_version(NAME, f"{run.info.artifact_uri}/model", run.info.run_id)
    client.set_registered_model_alias(NAME, "candidate", "1")
    (workspace / "models").rename(workspace / "elsewhere")
    return expected


@pytest.mark.server
@pytest.mark.filterwarnings("ignore")
def test_a_registered_model_is_found_by_number_and_alias(registered: str) -> None:
    assert told(version="1") == registered
    assert told(version="candidate") == registered
    with pytest.raises(UserError, match=r"no version or alias 'champion'.*there is 1, candidate"):
        told(version="champion")
    with pytest.raises(UserError, match="no version or alias '7'"):
        told(version="7")
