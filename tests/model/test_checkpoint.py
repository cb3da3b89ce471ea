"""A model folder: what goes into it besides the weights, and that transformers takes it as it is. And checkpoints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from model.checkpoint import Checkpoints, save_model
from tests.model import small

SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"
SETTINGS = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|pad|>"}

# the folder in a process of its own: whatever it has to say goes to standard error
CHAT = """
import sys, warnings
warnings.simplefilter("error")
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
assert tokenizer.model_max_length == model.config.max_position_embeddings == 32
ids = tokenizer.apply_chat_template([{"role": "user", "content": "a"}], return_tensors="pt", return_dict=True)
print(model.generate(**ids, max_new_tokens=20, do_sample=False)[0].tolist()[ids["input_ids"].shape[1]:])
"""


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """A tokenizer.json of at most 61 ids, nothing beside it."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=61, special_tokens=SPECIAL_TOKENS, show_progress=False)
    made.train_from_iterator(["the cat sat on the mat"], trainer)
    (tmp_path / "tokenizer").mkdir()
    made.save(str(tmp_path / "tokenizer" / "tokenizer.json"))
    return tmp_path / "tokenizer" / "tokenizer.json"


def add_extras(tokenizer: Path) -> None:
    tokenizer.with_name("chat_template.jinja").write_text(TEMPLATE)
    tokenizer.with_name("tokenizer_config.json").write_text(json.dumps(SETTINGS))


def names(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.iterdir())]


def test_the_tokenizers_files_come_along(tmp_path: Path, tokenizer: Path) -> None:
    folder = tmp_path / "model"
    save_model(folder, small.decoder(), tokenizer=tokenizer)
    assert names(folder) == ["config.json", "model.safetensors", "tokenizer.json"]
    add_extras(tokenizer)
    tokenizer.with_name("notes.txt").write_text("no part of a tokenizer")
    save_model(folder, small.decoder(), tokenizer=tokenizer)
    assert names(folder) == [
        "chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert (folder / "chat_template.jinja").read_text() == TEMPLATE
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert settings == {**SETTINGS, "model_max_length": 32}


def test_a_folder_may_be_saved_again_with_its_own_tokenizer(tmp_path: Path, tokenizer: Path) -> None:
    add_extras(tokenizer)
    folder = tmp_path / "model"
    save_model(folder, small.decoder(), tokenizer=tokenizer)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    save_model(folder, small.decoder(), tokenizer=folder / "tokenizer.json")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_newest_checkpoint_may_be_dropped(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run")
    checkpoints.drop_newest()
    for step in (1, 2):
        checkpoints.save(step=step, tensors={"x": torch.tensor([float(step)])}, state={"step": step})
    checkpoints.drop_newest()
    found = checkpoints.latest()
    assert found is not None
    assert found[1] == {"step": 1}
    checkpoints.drop_newest()
    assert checkpoints.latest() is None


def test_transformers_loads_it_silently_and_stops_where_a_turn_ends(tmp_path: Path, tokenizer: Path) -> None:
    add_extras(tokenizer)
    model = small.decoder()
    with torch.no_grad():  # embeddings are tied: whatever comes in, the likeliest token is 2
        model.model.embed_tokens.weight.fill_(0.1)
        model.model.embed_tokens.weight[2] = 1.0
    folder = tmp_path / "model"
    save_model(folder, model, tokenizer=tokenizer)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 0], "pad_token_id": 3}')
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CHAT, str(folder)], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[2]\n", "")
