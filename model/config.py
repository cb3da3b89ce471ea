"""What a model is: its shape, checked where it is owned, and its form as a Hugging Face config.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

Positions = Literal["rope", "learned", "sinusoidal", "none"]
NormKind = Literal["rmsnorm", "layernorm"]
Activation = Literal["swiglu", "geglu", "relu", "gelu", "squared_relu"]

GATED: frozenset[str] = frozenset({"swiglu", "geglu"})


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of a decoder.

    d_* are widths in channels, context in tokens. n_kv_heads < n_heads is grouped-query attention
    (arXiv:2305.13245). Raises ValueError with the value and the rule.
    """

    vocabulary_size: int
    context: int
    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_head: int
    d_ff: int
    positions: Positions
    rope_theta: float  # read where positions is "rope"
    norm: NormKind
    norm_eps: float
    activation: Activation
    qk_norm: bool
    tied_embeddings: bool
    end_id: int

    def __post_init__(self) -> None:
        self._check_sizes()
        self._check_choices()

    def _check_sizes(self) -> None:
        for name in ("vocabulary_size", "context", "d_model", "n_layers", "n_heads", "n_kv_heads", "d_head", "d_ff"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name}={value} is below 1")
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_heads={self.n_heads} is not divisible by n_kv_heads={self.n_kv_heads}")
        if self.positions == "rope" and self.d_head % 2:
            raise ValueError(f"d_head={self.d_head} is odd: rotary positions turn channels in pairs")
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise ValueError(f"d_model={self.d_model} is odd: sinusoidal positions are pairs of sine and cosine")
        if not 0 <= self.end_id < self.vocabulary_size:
            raise ValueError(f"end_id={self.end_id} is outside the vocabulary of {self.vocabulary_size}")
        if self.norm_eps <= 0 or self.rope_theta <= 0:
            raise ValueError(f"norm_eps={self.norm_eps} and rope_theta={self.rope_theta} must be above 0")

    def _check_choices(self) -> None:
        for name, allowed in (("positions", Positions), ("norm", NormKind), ("activation", Activation)):
            value, choices = getattr(self, name), get_args(allowed)
            if value not in choices:
                raise ValueError(f"{name}={value!r} is unknown; allowed: {', '.join(choices)}")

    @property
    def gated(self) -> bool:
        """Whether the feed-forward part has a gate beside its up projection."""
        return self.activation in GATED

    @property
    def hugging_face_type(self) -> Literal["qwen3", "llama"] | None:
        """The transformers model_type that is this shape, or None where there is none to export to."""
        if self.positions != "rope" or self.norm != "rmsnorm" or self.activation != "swiglu":
            return None
        return "qwen3" if self.qk_norm else "llama"

    def why_not_exportable(self) -> str | None:
        """One line on what keeps this shape from the Hugging Face form; None where nothing does."""
        if self.hugging_face_type is not None:
            return None
        wanted = {"positions": "rope", "norm": "rmsnorm", "activation": "swiglu"}
        mine = {key: getattr(self, key) for key in wanted}
        off = [f"{key}={mine[key]} (must be {value})" for key, value in wanted.items() if mine[key] != value]
        return f"this shape cannot be exported to transformers, vLLM or llama.cpp: {', '.join(off)}"


def to_hugging_face(config: ModelConfig) -> dict[str, Any]:
    """The config.json of a model folder: Qwen3's or Llama's form, "fledgling" for the other shapes.

    The keys are those of transformers' Qwen3Config and LlamaConfig; `fledgling` holds the config itself.
    """
    kind = config.hugging_face_type
    architecture = {"qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM", None: "FledglingForCausalLM"}[kind]
    return {
        "architectures": [architecture],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": config.end_id,  # a document starts after the end token of the one before
        "dtype": "float32",
        "eos_token_id": config.end_id,
        "fledgling": asdict(config),
        "head_dim": config.d_head,
        "hidden_act": "silu",
        "hidden_size": config.d_model,
        "initializer_range": 0.02,
        "intermediate_size": config.d_ff,
        "max_position_embeddings": config.context,
        "mlp_bias": False,
        "model_type": kind or "fledgling",
        "num_attention_heads": config.n_heads,
        "num_hidden_layers": config.n_layers,
        "num_key_value_heads": config.n_kv_heads,
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": {"rope_theta": config.rope_theta, "rope_type": "default"},
        "rope_theta": config.rope_theta,  # transformers before 5, vLLM and llama.cpp's converter read it here
        "tie_word_embeddings": config.tied_embeddings,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": config.vocabulary_size,
    }


def from_hugging_face(data: dict[str, Any]) -> ModelConfig:
    """Read back what `to_hugging_face` wrote. Raises ValueError naming a missing or unknown key."""
    own = data.get("fledgling")
    if not isinstance(own, dict):
        raise ValueError("config.json has no section 'fledgling': the folder was not written by this project")
    known = {field.name for field in fields(ModelConfig)}
    if missing := sorted(known - own.keys()):
        raise ValueError(f"config.json, section fledgling: missing {', '.join(missing)}")
    if unknown := sorted(own.keys() - known):
        raise ValueError(f"config.json, section fledgling: unknown {', '.join(unknown)}")
    return ModelConfig(**own)
