"""One file that llama.cpp runs: weights, tokenizer and chat template, by the library `gguf`.

A shape with a norm on queries and keys is llama.cpp's `qwen3`, one without is its `llama`, which turns neighbouring
channels by their position where we, as Hugging Face, turn the halves of a head: its rows are put in that order.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from tasks.chat import END_OF_TURN, PAD
from tasks.exporting.hf import TEMPLATE
from tasks.exporting.source import Source, new_file
from tasks.stage import UserError
from tasks.tokenizer_kinds import END, GPT2_SPLIT, QWEN2_SPLIT, SPECIAL_TOKENS

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFWriter

Numbers = Literal["f32", "f16", "q8_0"]
NUMBERS: tuple[Numbers, ...] = get_args(Numbers)
SPLITS = {GPT2_SPLIT: "gpt-2", QWEN2_SPLIT: "qwen2"}  # llama.cpp's names of how a text is cut before the merges


def export_gguf(source: Source, path: Path, *, numbers: Numbers) -> None:
    """Writes the file, the same bytes for the same model, whole or not at all.

    numbers: of the matrices; vectors are always f32, and a matrix whose rows don't divide into q8_0's blocks of 32 is
    f16. Raises UserError for a tokenizer that llama.cpp does not know, and where the file can't be written.
    """
    from gguf import GGUFWriter

    split, merges = _byte_pairs(source)
    config = source.decoder.config
    with new_file(path) as made:
        writer = GGUFWriter(made, "qwen3" if config.qk_norm else "llama")
        _add_shape(writer, source, numbers)
        _add_tokenizer(writer, source, split, merges)
        _add_weights(writer, source, numbers)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _byte_pairs(source: Source) -> tuple[str, list[str]]:
    """How the tokenizer cuts a text, and its merges. Raises UserError where it is not a byte-level BPE of ours."""
    path = source.folder / "tokenizer.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    merges = told["model"].get("merges") or []
    steps = (told.get("pre_tokenizer") or {}).get("pretokenizers") or [{}]
    split = SPLITS.get((steps[0].get("pattern") or {}).get("Regex", ""))
    if told["model"]["type"] != "BPE" or not merges or split is None:
        raise UserError(
            f"{path}: llama.cpp knows no tokenizer of this kind; allowed: `tokenize.kind: bpe` with a pre_tokenizer of "
            f"{', '.join(SPLITS.values())}"
        )
    return split, [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


def _add_shape(writer: "GGUFWriter", source: Source, numbers: Numbers) -> None:
    from gguf import LlamaFileType

    config = source.decoder.config
    kinds = {"f32": LlamaFileType.ALL_F32, "f16": LlamaFileType.MOSTLY_F16, "q8_0": LlamaFileType.MOSTLY_Q8_0}
    writer.add_name(source.name)
    if source.told.licences:
        writer.add_license(", ".join(source.told.licences))
    writer.add_file_type(kinds[numbers])
    writer.add_quantization_version(2)  # of ggml's blocks, since 2023
    writer.add_vocab_size(config.vocabulary_size)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.d_model)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.d_ff)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_key_length(config.d_head)
    writer.add_value_length(config.d_head)
    writer.add_rope_dimension_count(config.d_head)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)


def _add_tokenizer(writer: "GGUFWriter", source: Source, split: str, merges: list[str]) -> None:
    from gguf import TokenType

    known = {at: token for token, at in source.tokenizer.get_vocab(with_added_tokens=True).items()}
    ids = range(source.decoder.config.vocabulary_size)
    kinds = [TokenType.NORMAL if at in known else TokenType.UNUSED for at in ids]
    kinds[: len(SPECIAL_TOKENS)] = [TokenType.CONTROL] * len(SPECIAL_TOKENS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list([known.get(at, f"[unused {at}]") for at in ids])
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(END)
    writer.add_add_bos_token(True)  # the end token in front, as in training
    writer.add_eos_token_id(END_OF_TURN if source.chats else END)
    writer.add_pad_token_id(PAD)
    if source.chats:
        writer.add_eot_token_id(END_OF_TURN)
        writer.add_chat_template(TEMPLATE)


def _add_weights(writer: "GGUFWriter", source: Source, numbers: Numbers) -> None:
    from gguf import MODEL_ARCH, get_tensor_name_map

    config = source.decoder.config
    names = get_tensor_name_map(MODEL_ARCH.QWEN3 if config.qk_norm else MODEL_ARCH.LLAMA, config.n_layers)
    heads = {"q_proj": config.n_heads, "k_proj": config.n_kv_heads}
    for key, tensor in source.decoder.state_dict().items():
        values = tensor.detach().cpu().float().numpy()
        kind = key.split(".")[-2]
        if not config.qk_norm and kind in heads:
            values = _neighbours(values, heads[kind])
        name = names.get_name(key, try_suffixes=(".weight",))
        assert name is not None, key
        data, stored = _stored(values, numbers)
        writer.add_tensor(name, data, raw_dtype=stored)


def _neighbours(values: "np.ndarray[Any, Any]", heads: int) -> "np.ndarray[Any, Any]":
    """The rows of each head, (H * D, C), with the two that turn together beside each other, as llama.cpp's `llama`."""
    rows, width = values.shape
    return values.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def _stored(values: "np.ndarray[Any, Any]", numbers: Numbers) -> tuple["np.ndarray[Any, Any]", Any]:
    """The numbers as they lie in the file, and their ggml type."""
    from gguf import GGMLQuantizationType as Kind
    from gguf.constants import GGML_QUANT_SIZES
    from gguf.quants import quantize

    kind = {"f32": Kind.F32, "f16": Kind.F16, "q8_0": Kind.Q8_0}[numbers]
    if values.ndim == 1:
        kind = Kind.F32
    elif values.shape[-1] % GGML_QUANT_SIZES[kind][0]:
        kind = Kind.F16
    return quantize(values, kind), kind
