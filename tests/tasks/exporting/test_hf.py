"""The exported folder in transformers: our logits, our ids, our text; its card; what is refused."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from model.checkpoint import load_model
from tasks.chat import encode_questions, is_taught_to_chat
from tasks.exporting.hf import export_hf
from tasks.exporting.source import Told, read_source
from tasks.stage import UserError
from tests.tasks.exporting import made

TOLD = Told(
    card="# fledgling: the aligned model\n\nGrammar holds.",
    licences=("Apache-2.0",),
    figures=(("aligned_test_bits_per_byte", 0.81),),
)


def loaded(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model, as transformers reads them."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return AutoTokenizer.from_pretrained(folder), model


def front(folder: Path) -> dict[str, Any]:
    """The front matter of its README."""
    return dict(yaml.safe_load((folder / "README.md").read_text().split("---\n")[1]))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "Qwen3ForCausalLM"),
        ({"qk_norm": False, "pre_tokenizer": "qwen2"}, "LlamaForCausalLM"),
        ({"tied_embeddings": False, "n_kv_heads": 4}, "Qwen3ForCausalLM"),
    ],
    ids=["qwen3", "llama", "untied"],
)
def test_transformers_gives_the_same_logits_and_text(tmp_path: Path, changes: dict[str, Any], kind: str) -> None:
    source = made.source(tmp_path / "model", **changes)
    export_hf(source, tmp_path / "out")
    tokenizer, theirs = loaded(tmp_path / "out")
    assert type(theirs).__name__ == kind
    ours = made.continued(source.decoder, made.asked(source), tokens=24)
    for prompt, ids, said in zip(made.PROMPTS[::2], made.asked(source)[::2], ours[::2], strict=True):
        given = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        assert given["input_ids"].tolist() == [[0, *ids]]  # the end token in front comes from its tokenizer
        with torch.no_grad():
            both = theirs(given["input_ids"]).logits, source.decoder(given["input_ids"])
        torch.testing.assert_close(*both, rtol=1e-4, atol=1e-4)
        greedy = {"do_sample": False, "temperature": None, "top_p": None, "eos_token_id": 0}
        told = theirs.generate(**given, max_new_tokens=24, **greedy)[0].tolist()[1 + len(ids) :]
        assert [token for token in told if token] == said


def test_a_chat_has_the_ids_that_are_served(tmp_path: Path) -> None:
    source = made.source(tmp_path / "model")
    export_hf(source, tmp_path / "out")
    tokenizer, theirs = loaded(tmp_path / "out")
    for question in made.PROMPTS:
        chat = [{"role": "user", "content": question}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        assert ids == [0, *encode_questions(source.tokenizer, [question])[0]]
    assert theirs.generation_config.eos_token_id == [2, 0]
    assert tokenizer.model_max_length == 128


def test_a_base_models_folder_has_no_chat(tmp_path: Path) -> None:
    export_hf(made.source(tmp_path / "model", chats=False), tmp_path / "out")
    tokenizer, theirs = loaded(tmp_path / "out")
    assert tokenizer.chat_template is None
    assert theirs.generation_config.eos_token_id == 0
    assert not is_taught_to_chat(tmp_path / "out")
    assert "conversational" not in front(tmp_path / "out")["tags"]


def test_the_folder_comes_back(tmp_path: Path) -> None:
    source = made.source(tmp_path / "model")
    export_hf(source, tmp_path / "out")
    again = read_source(tmp_path / "out", name="again", told=Told())
    assert again.chats
    assert made.asked(again) == made.asked(source)
    for name, tensor in load_model(tmp_path / "out").state_dict().items():
        assert torch.equal(tensor, source.decoder.state_dict()[name])


def test_the_card_says_licence_and_figures(tmp_path: Path) -> None:
    export_hf(made.source(tmp_path / "model", told=TOLD), tmp_path / "out")
    told = front(tmp_path / "out")
    assert (told["license"], told["library_name"]) == ("apache-2.0", "transformers")
    assert told["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.81
    text = (tmp_path / "out" / "README.md").read_text()
    assert "# fledgling: the aligned model\n\nGrammar holds." in text
    assert "apply_chat_template" in text


@pytest.mark.parametrize(
    ("licences", "told"),
    [
        ((), {"license": "other", "license_name": "unknown"}),
        (("Apache-2.0", "MIT"), {"license": "other", "license_name": "Apache-2.0, MIT"}),
        (("own",), {"license": "other", "license_name": "own"}),
    ],
    ids=["none", "two", "a house's own"],
)
def test_a_licence_is_not_guessed(tmp_path: Path, licences: tuple[str, ...], told: dict[str, str]) -> None:
    export_hf(made.source(tmp_path / "model", told=Told(licences=licences)), tmp_path / "out")
    found = front(tmp_path / "out")
    assert {key: found[key] for key in told} == told


def test_what_is_there_stays(tmp_path: Path) -> None:
    source = made.source(tmp_path / "model")
    (tmp_path / "out").mkdir()
    export_hf(source, tmp_path / "out")  # an empty folder is taken
    before = sorted(path.read_bytes() for path in (tmp_path / "out").iterdir())
    with pytest.raises(UserError, match="there already and not empty; name a new folder"):
        export_hf(source, tmp_path / "out")
    assert sorted(path.read_bytes() for path in (tmp_path / "out").iterdir()) == before
    with pytest.raises(UserError, match="can't be written"):
        export_hf(source, tmp_path / "model" / "config.json" / "out")


def test_a_shape_that_nobody_else_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be exported .* activation=relu \(must be swiglu\)"):
        made.source(tmp_path / "model", activation="relu")


def test_a_foreign_or_broken_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model folder of this project"):
        read_source(tmp_path, name="x", told=Told())
    with pytest.raises(UserError, match=r"its tokenizer.json knows 505 tokens, its model 61"):
        made.source(tmp_path / "model", vocabulary_size=61)
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="not written by this project") as caught:
        read_source(tmp_path / "model", name="x", told=Told())
    assert "\n" not in str(caught.value)
