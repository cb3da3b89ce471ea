"""What `finetune` and `align` share beside `tasks.training`: they go on from a model, in full or by LoRA, and write a
model that chats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tasks.stage import Params, UserError
from tasks.training import Count, Positive, Samples, Sampling, TrainingParams

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.decoder import Decoder


class LoraParams(Params):
    """Low-rank adaptation; see model.lora.LoraConfig."""

    rank: Count
    alpha: Positive
    targets: tuple[str, ...]


class AdaptationParams(TrainingParams):
    """What a section of such a stage holds beside the keys of every training stage."""

    method: Literal["full", "lora"]
    lora: LoraParams


def check_vocabulary(decoder: Decoder, model: Path, *folders: Path) -> None:
    """Raises UserError for token files that hold ids the model has no embedding of."""
    from model.documents import vocabulary_size

    known = decoder.config.vocabulary_size
    for folder in folders:
        if (size := vocabulary_size(folder)) > known:
            raise UserError(
                f"{folder} was written with a vocabulary of {size:,}, {model} has one of {known:,}; "
                "both must come from one tokenizer"
            )


def adapt(params: AdaptationParams, decoder: Decoder) -> int:
    """Freeze and wrap the model where LoRA is wanted; how many numbers are trained."""
    import torch

    from model.lora import LoraConfig, add_lora, trainable_parameters

    if params.method == "lora":
        lora = LoraConfig(rank=params.lora.rank, alpha=params.lora.alpha, targets=params.lora.targets)
        add_lora(decoder, lora, generator=torch.Generator().manual_seed(params.seed))
    return trainable_parameters(decoder)


def write_chat_model(params: AdaptationParams, decoder: Decoder, folder: Path, *, tokenizer: Path) -> None:
    """Write a plain model that chats, LoRA merged and its adapter beside it where there is one.

    The decoder is that plain model afterwards.
    """
    from model.checkpoint import save_model
    from model.lora import merge_lora, save_adapter
    from tasks.chat import write_generation_config

    if params.method == "lora":
        save_adapter(folder / "adapter", decoder)
        merge_lora(decoder)
    decoder.eval()
    save_model(folder, decoder, tokenizer=tokenizer)
    write_generation_config(folder)


def chat_samples(sampling: Sampling, *, name: str, codec: Tokenizer) -> Samples:
    """The samples of a stage whose prompts are questions."""
    from tasks.chat import END_OF_TURN, encode_questions

    prompts = encode_questions(codec, sampling.prompts)
    return Samples(sampling, name=name, prompts=prompts, codec=codec, stop=END_OF_TURN)
