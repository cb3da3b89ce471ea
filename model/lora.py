"""LoRA: a frozen model learns by a low-rank addition to some of its matrices (arXiv:2106.09685).

A wrapped matrix computes y = W x + (alpha / rank) B (A x). W may be a plain matrix or an NF4 one (QLoRA,
arXiv:2305.14314). Adapters are written and read in the file format of the library PEFT. There is no dropout: its
random numbers would have to be part of every checkpoint for a resumed run to end in the same bytes.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.checkpoint import replace_file
from model.decoder import Decoder, Linear
from model.nf4 import LAYER_MATRICES, Nf4Linear, dequantize_base, layer_matrices, plain_linear

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."  # before our names of tensors, in PEFT's files

# What PEFT can do and this module cannot: a key of its config, and the values under which it means nothing.
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "alpha_pattern": (None, {}),
    "bias": (None, "none"),
    "exclude_modules": (None, [], ""),
    "fan_in_fan_out": (None, False),
    "layer_replication": (None, []),
    "layers_to_transform": (None, []),
    "lora_bias": (None, False),
    "modules_to_save": (None, []),
    "rank_pattern": (None, {}),
    "target_parameters": (None, []),
    "trainable_token_indices": (None, [], {}),
    "use_dora": (None, False),
    "use_rslora": (None, False),
}


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Which matrices learn, and how much they can. Raises ValueError naming the key and what is allowed."""

    rank: int
    alpha: float  # the addition is scaled by alpha / rank
    targets: tuple[str, ...]  # names of `LAYER_MATRICES`, in every layer

    def __post_init__(self) -> None:
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise ValueError(f"rank={self.rank!r} is not allowed; allowed: whole numbers from 1")
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, int | float) or not 0 < self.alpha < math.inf:
            raise ValueError(f"alpha={self.alpha!r} is not allowed; allowed: numbers above 0")
        if isinstance(self.targets, str) or not self.targets:
            raise ValueError(f"targets={self.targets!r} is no list of names; allowed: {', '.join(LAYER_MATRICES)}")
        for name in self.targets:
            if name not in LAYER_MATRICES:
                raise ValueError(f"targets={name!r} is unknown; allowed: {', '.join(LAYER_MATRICES)}")
        if len(set(self.targets)) < len(self.targets):
            raise ValueError(f"targets={', '.join(self.targets)} names a matrix twice")


class LoraLinear(nn.Module):
    """A frozen matrix and what is learnt beside it; named as PEFT's, so that the tensors' names are those of its files.

    A starts uniform (Kaiming's bound with a = sqrt(5), as PEFT's), B zero: at first the model is the base model.
    """

    def __init__(self, base_layer: Linear | Nf4Linear, *, rank: int, alpha: float) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.lora_A = Linear(base_layer.in_features, rank)
        self.lora_B = Linear(rank, base_layer.out_features)
        self.rank, self.alpha = rank, alpha
        self.scaling = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., d_in). Returns (..., d_out) in x's dtype."""
        narrow = self.lora_A(x) * self.scaling  # (..., rank): scaled where it is small
        return cast(Tensor, self.base_layer(x) + self.lora_B(narrow))

    @torch.no_grad()
    def initialise(self, *, generator: torch.Generator) -> None:
        """Fill A and B; drawn on the generator's device, so that the numbers are the same for every device."""
        bound = 1.0 / math.sqrt(self.lora_A.in_features)
        drawn = torch.empty(self.lora_A.weight.shape, device=generator.device)
        self.lora_A.weight.copy_(drawn.uniform_(-bound, bound, generator=generator))
        self.lora_B.weight.zero_()

    @torch.no_grad()
    def merged(self) -> Linear:
        """The plain matrix W + (alpha / rank) B A."""
        base = self.base_layer
        linear = plain_linear(base) if isinstance(base, Nf4Linear) else base
        linear.weight.add_(self.lora_B.weight @ self.lora_A.weight, alpha=self.scaling)
        return linear


def add_lora(model: Decoder, config: LoraConfig, *, generator: torch.Generator) -> None:
    """Freeze the model, embeddings and norms included, and let the targets learn by LoRA, in place.

    Raises ValueError where the model has LoRA already, has no such matrix, or one that is smaller than the rank.
    """
    for module in _wrap(model, config):
        module.initialise(generator=generator)


def merge_lora(model: Decoder) -> None:
    """Make the model plain again in place: what was learnt is added to the matrices, 4-bit ones become float32.

    All parameters can be trained again. Raises ValueError where there is no LoRA.
    """
    for name, module in _wrapped(model).items():
        model.set_submodule(name, module.merged())
    dequantize_base(model)
    model.requires_grad_(True)


def trainable_parameters(model: nn.Module) -> int:
    """How many numbers an optimiser would change."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def lora_config(model: Decoder) -> LoraConfig:
    """The config that `add_lora` was called with. Raises ValueError where there is no LoRA."""
    found = _wrapped(model)
    first = next(iter(found.values()))
    names = {name.rpartition(".")[2] for name in found}
    targets = tuple(name for name in LAYER_MATRICES if name in names)
    return LoraConfig(rank=first.rank, alpha=first.alpha, targets=targets)


def save_adapter(folder: Path, model: Decoder, *, base: str | None = None) -> None:
    """Write what LoRA learnt as PEFT does: adapter_config.json and adapter_model.safetensors.

    `PeftModel.from_pretrained(base model, folder)` loads it on the exported Hugging Face folder. base: what that
    folder is called, for PEFT's auto classes. Raises ValueError where there is no LoRA.
    """
    config = lora_config(model)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _adapter_tensors(model).items()}
    data = {
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": int(config.alpha) if float(config.alpha).is_integer() else config.alpha,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": config.rank,
        "target_modules": list(config.targets),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / WEIGHTS_FILE, lambda path: save_file(tensors, path, metadata={"format": "pt"}))
    text = json.dumps(data, indent=2, sort_keys=True) + "\n"
    replace_file(folder / CONFIG_FILE, lambda path: path.write_text(text, encoding="utf-8"))


def load_adapter(folder: Path, model: Decoder) -> None:
    """Add a saved adapter to its base model in place, ours or one of PEFT's; the base is frozen as by `add_lora`.

    Raises ValueError naming the file and what is wrong with it.
    """
    config = _read_config(folder / CONFIG_FILE)
    path = folder / WEIGHTS_FILE
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    _check_tensors(path, tensors, model, config)
    _wrap(model, config)
    with torch.no_grad():
        for name, parameter in _adapter_tensors(model).items():
            parameter.copy_(tensors[name])


def _wrap(model: Decoder, config: LoraConfig) -> list[LoraLinear]:
    found = _matrices(model, config)
    model.requires_grad_(False)
    wrapped = []
    for name, module in found.items():
        lora = LoraLinear(module, rank=config.rank, alpha=config.alpha).to(model.device)
        model.set_submodule(name, lora)
        wrapped.append(lora)
    return wrapped


def _matrices(model: Decoder, config: LoraConfig) -> dict[str, Linear | Nf4Linear]:
    """The matrices to wrap by their full names. Raises ValueError where the config does not fit the model."""
    found = layer_matrices(model, LAYER_MATRICES)
    plain = {name: module for name, module in found.items() if isinstance(module, Linear | Nf4Linear)}
    if len(plain) < len(found):
        raise ValueError("the model has LoRA already: merge it first")
    sides = {name.rpartition(".")[2]: min(m.in_features, m.out_features) for name, m in plain.items()}
    for name in config.targets:
        if name not in sides:
            raise ValueError(f"targets={name!r} is in no layer of this model; allowed: {', '.join(sides)}")
        if config.rank > sides[name]:
            raise ValueError(f"rank={config.rank} is above the smaller side of {name}; allowed: 1 to {sides[name]}")
    return {name: module for name, module in plain.items() if name.rpartition(".")[2] in config.targets}


def _wrapped(model: Decoder) -> dict[str, LoraLinear]:
    found = {name: module for name, module in model.named_modules() if isinstance(module, LoraLinear)}
    if not found:
        raise ValueError("the model has no LoRA: call add_lora first")
    return found


def _adapter_tensors(model: Decoder) -> dict[str, Tensor]:
    """What an adapter holds by PEFT's names: the live tensors."""
    return {
        f"{PREFIX}{name}.{part}.weight": cast(Linear, getattr(module, part)).weight
        for name, module in _wrapped(model).items()
        for part in ("lora_A", "lora_B")
    }


def _read_config(path: Path) -> LoraConfig:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict) or data.get("peft_type") != "LORA":
        raise ValueError(f"{path} is no LoRA adapter: its peft_type must be LORA")
    for key, neutral in UNSUPPORTED.items():
        if key in data and data[key] not in neutral:
            raise ValueError(f"{path}: {key}={data[key]!r} is not supported; allowed: {json.dumps(neutral[-1])}")
    targets = data.get("target_modules")
    if not isinstance(targets, list) or not all(isinstance(name, str) for name in targets):
        raise ValueError(f"{path}: target_modules={targets!r} is no list of names")
    try:
        return LoraConfig(rank=data["r"], alpha=data["lora_alpha"], targets=tuple(targets))
    except KeyError as error:
        raise ValueError(f"{path} has no key {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _check_tensors(path: Path, tensors: dict[str, Tensor], model: Decoder, config: LoraConfig) -> None:
    expected: dict[str, tuple[int, int]] = {}
    for name, module in _matrices(model, config).items():
        expected[f"{PREFIX}{name}.lora_A.weight"] = (config.rank, module.in_features)
        expected[f"{PREFIX}{name}.lora_B.weight"] = (module.out_features, config.rank)
    if missing := sorted(expected.keys() - tensors.keys()):
        raise ValueError(f"{path} has no tensor {missing[0]}: it belongs to another model")
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise ValueError(f"{path} has a tensor {unknown[0]} that this model has no place for")
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"{path}: {name} is {tuple(tensors[name].shape)}, the model's is {shape}")
