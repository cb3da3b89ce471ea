"""LoRA: it starts as the base, changes nothing else, merges, resumes bit for bit and is read by PEFT's names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from model.batches import Batch
from model.checkpoint import load_model, save_model
from model.decoder import Decoder, Linear
from model.gradients import rms_norm, token_loss
from model.lora import LoraConfig, add_lora, load_adapter, lora_config, merge_lora, save_adapter, trainable_parameters
from model.nf4 import LAYER_MATRICES
from model.training import next_token_loss
from tests.model import small

QV = LoraConfig(rank=4, alpha=8.0, targets=("q_proj", "v_proj"))
ALL = LoraConfig(rank=4, alpha=8.0, targets=LAYER_MATRICES)
ADAMW = replace(small.OPTIMISER, kind="adamw")


def ids() -> Tensor:
    return torch.randint(61, (2, 32), generator=torch.Generator().manual_seed(0))


def with_lora(config: LoraConfig = QV, *, learnt: bool = False, **changes: Any) -> Decoder:
    """A small decoder with LoRA; learnt: B is not zero any more."""
    model = small.decoder(awake=True, **changes)
    generator = torch.Generator().manual_seed(5)
    add_lora(model, config, generator=generator)
    if learnt:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(0.0, 0.1, generator=generator)
    return model


def logits(model: Decoder) -> Tensor:
    with torch.no_grad():
        return model(ids())


@pytest.mark.parametrize("config", [QV, ALL])
def test_it_starts_as_the_base(config: LoraConfig) -> None:
    assert torch.equal(logits(with_lora(config)), logits(small.decoder(awake=True)))
    assert not torch.equal(logits(with_lora(config, learnt=True)), logits(small.decoder(awake=True)))


def test_a_starts_within_kaimings_bound_and_by_the_generator_alone() -> None:
    first, second = (with_lora().state_dict() for _ in range(2))
    names = [name for name in first if "lora_A" in name]
    assert names[0] == "model.layers.0.self_attn.q_proj.lora_A.weight"
    assert len(names) == 4
    for name in names:
        assert torch.equal(first[name], second[name])
        assert 0.8 / 32**0.5 < first[name].abs().max() <= 1 / 32**0.5


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("config", [QV, ALL])
def test_a_step_changes_lora_and_nothing_else(tmp_path: Path, kind: str, config: LoraConfig) -> None:
    model = with_lora(config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    run = small.trainer(
        small.write_tokens(tmp_path), steps=9, model=model, optimiser=replace(small.OPTIMISER, kind=kind)
    )
    losses = [run.train_step()[0]["train/loss"] for _ in range(9)]
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if "lora_" in name}
    assert all(p.grad is None for name, p in model.named_parameters() if "lora_" not in name)
    assert run.optimiser.parameters.keys() == changed
    assert losses[-1] < losses[0]


def test_what_is_trained_is_what_was_added() -> None:
    model = with_lora(QV)
    layers, rank, width = 2, 4, 32
    assert trainable_parameters(model) == layers * rank * ((width + 32) + (width + 16))  # q: 32 out, v: 16 (grouped)
    assert trainable_parameters(small.decoder()) == small.decoder().parameter_count()


@pytest.mark.parametrize(
    ("targets", "rank", "trained"),
    [(("q_proj", "v_proj"), 8, 16_384), (("q_proj", "v_proj"), 16, 32_768), (LAYER_MATRICES[:4], 8, 32_768)],
)
def test_the_share_that_is_trained_at_the_default_shape(targets: tuple[str, ...], rank: int, trained: int) -> None:
    model = small.decoder(
        vocabulary_size=2048, d_model=128, n_layers=4, n_heads=2, n_kv_heads=2, d_head=64, d_ff=384, context=512
    )
    base = model.parameter_count()
    add_lora(model, LoraConfig(rank=rank, alpha=16.0, targets=targets), generator=torch.Generator())
    assert trainable_parameters(model) == trained
    assert trained / base < 0.05


@pytest.mark.parametrize("changes", [{}, {"tied_embeddings": False}, {"n_kv_heads": 1}, {"norm": "layernorm"}], ids=str)
@pytest.mark.parametrize("config", [QV, ALL])
def test_merged_it_is_a_plain_model_with_equal_logits(changes: dict[str, Any], config: LoraConfig) -> None:
    model = with_lora(config, learnt=True, **changes)
    expected, plain = logits(model), small.decoder(**changes)
    merge_lora(model)
    torch.testing.assert_close(logits(model), expected, rtol=0.0, atol=1e-5)
    assert list(model.state_dict()) == list(plain.state_dict())
    assert {type(m) for m in model.modules()} == {type(m) for m in plain.modules()}
    assert trainable_parameters(model) == plain.parameter_count()


def test_a_merged_model_is_saved_like_any_other(tmp_path: Path) -> None:
    model = with_lora(ALL, learnt=True)
    merge_lora(model)
    save_model(tmp_path, model, tokenizer=None)
    assert torch.equal(logits(load_model(tmp_path)), logits(model))


def test_an_adapter_comes_back_from_disk(tmp_path: Path) -> None:
    model = with_lora(ALL, learnt=True)
    save_adapter(tmp_path, model)
    loaded = small.decoder(awake=True)
    load_adapter(tmp_path, loaded)
    assert torch.equal(logits(loaded), logits(model))
    assert lora_config(loaded) == lora_config(model) == ALL
    assert trainable_parameters(loaded) == trainable_parameters(model)


def test_an_adapter_has_pefts_form(tmp_path: Path) -> None:
    save_adapter(tmp_path, with_lora(learnt=True))
    data = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (data["peft_type"], data["task_type"], data["r"], data["lora_alpha"]) == ("LORA", "CAUSAL_LM", 4, 8)
    assert data["target_modules"] == ["q_proj", "v_proj"]
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert len(tensors) == 8
    name = "base_model.model.model.layers.1.self_attn.v_proj"
    assert tensors[f"{name}.lora_A.weight"].shape == (4, 32)
    assert tensors[f"{name}.lora_B.weight"].shape == (16, 4)


def test_transformers_and_the_adapter_file_give_equal_logits(tmp_path: Path) -> None:
    """What PEFT computes, by hand: the library itself is no requirement of this project."""
    from transformers import AutoModelForCausalLM

    save_model(tmp_path, small.decoder(awake=True), tokenizer=None)
    model = with_lora(ALL, learnt=True)
    save_adapter(tmp_path / "adapter", model)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    with torch.no_grad():
        for key in [key.removesuffix(".lora_A.weight") for key in tensors if key.endswith("lora_A.weight")]:
            weight = theirs.get_submodule(key.removeprefix("base_model.model.")).weight
            weight += 8.0 / 4.0 * tensors[f"{key}.lora_B.weight"] @ tensors[f"{key}.lora_A.weight"]
        torch.testing.assert_close(theirs(ids()).logits, logits(model), rtol=1e-4, atol=1e-4)


def test_a_resumed_run_ends_in_the_same_bytes(tmp_path: Path) -> None:
    tokens = small.write_tokens(tmp_path / "tokens")

    def run(steps: int, state: Path | None) -> Decoder:
        trainer = small.trainer(tokens, steps=20, evaluate_every=5, state=state, model=with_lora(ALL), optimiser=ADAMW)
        trainer.progress.steps = steps
        trainer.run()
        return trainer.model

    whole = run(20, None)
    run(10, tmp_path)  # stopped half way; the second process knows only its checkpoint
    checkpoint = tmp_path / "checkpoints" / "step-00000010.safetensors"
    assert checkpoint.exists()
    resumed = small.trainer(tokens, steps=20, evaluate_every=5, state=tmp_path, model=with_lora(ALL), optimiser=ADAMW)
    state = resumed.checkpoints.latest() if resumed.checkpoints else None
    assert state is not None
    state[1]["steps"] = 20
    assert resumed.checkpoints is not None
    resumed.checkpoints.save(step=10, tensors=state[0], state=state[1])
    resumed.run()
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


def test_frozen_parameters_cost_no_gradient() -> None:
    hidden = torch.randn(6, 4, requires_grad=True)
    weight = torch.randn(7, 4)
    targets = torch.tensor([1, 2, -100, 3, 0, 6])
    learnt = weight.clone().requires_grad_()
    frozen = token_loss(hidden, weight, targets, ignore=-100)
    free = token_loss(hidden, learnt, targets, ignore=-100)
    assert frozen.grad_fn is not None
    assert all(t is None or t.shape != weight.shape for t in frozen.grad_fn.saved_tensors)
    assert torch.equal(frozen, free)
    assert torch.equal(torch.autograd.grad(frozen, hidden)[0], torch.autograd.grad(free, [hidden, learnt])[0])
    scale = torch.rand(4)
    one = torch.autograd.grad(rms_norm(hidden, scale, eps=1e-6).sum(), hidden)[0]
    both = torch.autograd.grad(rms_norm(hidden, scale.requires_grad_(), eps=1e-6).sum(), [hidden, scale])
    assert torch.equal(one, both[0])


def test_lora_keeps_fewer_activations_than_full_training() -> None:
    batch = Batch(inputs=ids(), targets=ids())

    def kept(model: Decoder) -> int:
        sizes: dict[int, int] = {}
        weights = {p.data_ptr() for p in model.parameters()}

        def note(tensor: Tensor) -> Tensor:
            if tensor.untyped_storage().data_ptr() not in weights:
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with saved_tensors_hooks(note, lambda tensor: tensor):
            loss = next_token_loss(model, batch)
        assert torch.isfinite(loss)
        return sum(sizes.values())

    full = kept(small.decoder(awake=True))
    assert kept(with_lora(QV)) < 0.9 * full


def test_the_norms_of_a_frozen_model_are_frozen_too() -> None:
    model = with_lora(ALL, norm="layernorm", positions="learned", tied_embeddings=False)
    names = Counter(name.rpartition("lora_")[1] for name, p in model.named_parameters() if p.requires_grad)
    assert set(names) == {"lora_"}
    assert isinstance(model.lm_head, Linear)


def test_gated_or_not_every_shape_takes_its_own_matrices() -> None:
    targets = ("up_proj", "down_proj")
    model = with_lora(LoraConfig(rank=2, alpha=2.0, targets=targets), activation="relu")
    assert lora_config(model).targets == targets


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"rank": 0}, "rank=0 is not allowed; allowed: whole numbers from 1"),
        ({"rank": 1.5}, "rank=1.5 is not allowed"),
        ({"alpha": 0.0}, "alpha=0.0 is not allowed; allowed: numbers above 0"),
        ({"alpha": float("nan")}, "alpha=nan is not allowed"),
        ({"targets": ()}, r"targets=\(\) is no list of names; allowed: q_proj, k_proj"),
        ({"targets": "q_proj"}, "targets='q_proj' is no list of names"),
        ({"targets": ("lm_head",)}, "targets='lm_head' is unknown; allowed: q_proj, k_proj"),
        ({"targets": ("q_proj", "q_proj")}, "names a matrix twice"),
    ],
    ids=str,
)
def test_a_bad_config_is_one_clear_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        replace(QV, **changes)


def twice(model: Decoder) -> None:
    add_lora(model, QV, generator=torch.Generator())
    add_lora(model, QV, generator=torch.Generator())


@pytest.mark.parametrize(
    ("act", "line"),
    [
        (twice, "has LoRA already"),
        (merge_lora, "has no LoRA: call add_lora first"),
        (lambda model: add_lora(model, replace(QV, rank=17), generator=torch.Generator()), "v_proj; allowed: 1 to 16"),
    ],
)
def test_a_model_that_does_not_fit_is_one_clear_line(act: Callable[[Decoder], None], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        act(small.decoder())


def test_a_matrix_that_the_shape_does_not_have_is_named() -> None:
    with pytest.raises(ValueError, match="targets='gate_proj' is in no layer of this model; allowed: q_proj, "):
        with_lora(replace(QV, targets=("gate_proj",)), activation="relu")


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("peft_type", "IA3", "is no LoRA adapter"),
        ("use_dora", True, "use_dora=True is not supported; allowed: false"),
        ("target_modules", "all-linear", "target_modules='all-linear' is no list of names"),
        ("target_modules", ["k_proj", "v_proj"], "has no tensor .*k_proj.lora_A.weight"),
        ("target_modules", ["q_proj"], "has a tensor .*v_proj.lora_A.weight that this model has no place for"),
        ("r", 2, r"lora_A.weight is \(4, 32\), the model's is \(2, 32\)"),
        ("r", -2, "adapter_config.json: rank=-2 is not allowed"),
    ],
)
def test_an_adapter_that_does_not_fit_is_one_clear_line(tmp_path: Path, key: str, value: Any, line: str) -> None:
    save_adapter(tmp_path, with_lora(learnt=True))
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    model = small.decoder(awake=True)
    with pytest.raises(ValueError, match=line):
        load_adapter(tmp_path, model)
    assert trainable_parameters(model) == model.parameter_count()  # nothing was done to it


def test_a_damaged_adapter_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"adapter_config.json cannot be read"):
        load_adapter(tmp_path, small.decoder())
    save_adapter(tmp_path, with_lora())
    (tmp_path / "adapter_model.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(ValueError, match=r"adapter_model.safetensors cannot be read"):
        load_adapter(tmp_path, small.decoder())
    save_file({"x": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ValueError, match=r"has no tensor"):
        load_adapter(tmp_path, small.decoder())
