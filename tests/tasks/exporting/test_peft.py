"""The adapter of a LoRA run in PEFT itself."""

import json
from pathlib import Path

import pytest
import torch

from model.checkpoint import load_model
from model.lora import LoraConfig, add_lora, merge_lora, save_adapter
from tasks.exporting.hf import export_hf
from tasks.exporting.peft import export_peft
from tasks.exporting.source import Told, read_source
from tasks.stage import UserError
from tests.tasks.exporting import made

LORA = LoraConfig(rank=4, alpha=8.0, targets=("q_proj", "v_proj", "down_proj"))


def tuned(base: Path, folder: Path) -> None:
    """A folder as a LoRA run leaves it: the merged model, the adapter beside it."""
    from shutil import copytree

    from model.checkpoint import save_model

    copytree(base, folder)
    decoder = load_model(base)
    add_lora(decoder, LORA, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    save_adapter(folder / "adapter", decoder)
    merge_lora(decoder)
    save_model(folder, decoder, tokenizer=base / "tokenizer.json")


@pytest.mark.filterwarnings("default")  # PEFT's own
def test_peft_gives_the_merged_models_logits(tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    source = made.source(tmp_path / "base")
    tuned(tmp_path / "base", tmp_path / "model")
    export_hf(source, tmp_path / "hf")
    export_peft(tmp_path / "model", tmp_path / "peft", base=str(tmp_path / "hf"))
    told = json.loads((tmp_path / "peft" / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == str(tmp_path / "hf")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.float32)
    theirs = PeftModel.from_pretrained(base, tmp_path / "peft").eval()
    ids = torch.randint(400, (2, 32), generator=torch.Generator().manual_seed(0))
    merged = load_model(tmp_path / "model")
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, merged(ids), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(merged(ids), source.decoder(ids), atol=0.1)


def test_a_model_without_an_adapter_says_so(tmp_path: Path) -> None:
    made.folder(tmp_path / "model")
    with pytest.raises(UserError, match=r"holds no adapter/: it was trained in full"):
        export_peft(tmp_path / "model", tmp_path / "peft", base=None)
    assert not (tmp_path / "peft").exists()


def test_an_adapter_of_another_model_is_one_line(tmp_path: Path) -> None:
    made.folder(tmp_path / "base")
    tuned(tmp_path / "base", tmp_path / "model")
    (tmp_path / "model" / "adapter" / "adapter_model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match=r"adapter_model.safetensors cannot be read"):
        export_peft(tmp_path / "model", tmp_path / "peft", base=None)
    assert read_source(tmp_path / "model", name="merged", told=Told()).chats
