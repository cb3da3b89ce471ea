"""The GGUF file: read back by the library `gguf`, and run by llama.cpp where it is installed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.chat import encode_questions
from tasks.exporting.gguf import NUMBERS, Numbers, export_gguf
from tasks.stage import UserError
from tests.conftest import MISSING
from tests.tasks.exporting import made

SHAPES = [
    pytest.param({}, id="qwen3"),
    pytest.param({"qk_norm": False, "pre_tokenizer": "qwen2"}, id="llama"),
    pytest.param({"tied_embeddings": False, "n_kv_heads": 4, "chats": False}, id="untied"),
]
PAIRS = {
    "embed_tokens": "token_embd",
    "layers.0.mlp.gate_proj": "blk.0.ffn_gate",
    "layers.1.self_attn.q_norm": "blk.1.attn_q_norm",
}
TRICKY = ("", " two  spaces\n\n\nand lines \r\n", "I'LL don't we've", "1234 5 äö 日本 \U0001f98a\u200d", "<|im_end|>a")


def read(path: Path) -> Any:
    from gguf import GGUFReader

    return GGUFReader(path)


def test_it_holds_shape_tokenizer_and_template(tmp_path: Path) -> None:
    source = made.source(tmp_path / "model")
    export_gguf(source, tmp_path / "out.gguf", numbers="f32")
    fields = read(tmp_path / "out.gguf").fields
    told = {key: field.contents() for key, field in fields.items()}
    assert told["general.architecture"] == "qwen3"
    assert told["qwen3.context_length"] == 128
    assert told["tokenizer.ggml.pre"] == "gpt-2"
    assert told["tokenizer.ggml.tokens"][:2] == ["<|endoftext|>", "<|im_start|>"]
    assert told["tokenizer.ggml.tokens"][-1] == f"[unused {source.tokenizer.get_vocab_size() + 4}]"
    assert told["tokenizer.ggml.token_type"][:5] == [3, 3, 3, 3, 1]
    assert (told["tokenizer.ggml.eos_token_id"], told["tokenizer.ggml.add_bos_token"]) == (2, True)
    assert told["tokenizer.chat_template"].startswith("{{ bos_token }}")


@pytest.mark.parametrize("numbers", NUMBERS)
def test_its_numbers_are_the_models(tmp_path: Path, numbers: Numbers) -> None:
    from gguf.quants import dequantize

    source = made.source(tmp_path / "model")
    for name in ("a", "b"):
        export_gguf(source, tmp_path / f"{name}.gguf", numbers=numbers)
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    tensors = {tensor.name: tensor for tensor in read(tmp_path / "a.gguf").tensors}
    ours = source.decoder.state_dict()
    for mine, theirs in PAIRS.items():
        stored = tensors[f"{theirs}.weight"]
        values = dequantize(stored.data, stored.tensor_type)
        far = {"f32": 0.0, "f16": 1e-3, "q8_0": 1e-2}[numbers]
        np.testing.assert_allclose(values, ours[f"model.{mine}.weight"].numpy(), atol=far)


def test_rows_that_no_block_divides_are_half_precision(tmp_path: Path) -> None:
    export_gguf(made.source(tmp_path / "model", d_ff=40), tmp_path / "out.gguf", numbers="q8_0")
    kinds = {tensor.name: tensor.tensor_type.name for tensor in read(tmp_path / "out.gguf").tensors}
    assert (kinds["blk.0.ffn_down.weight"], kinds["blk.0.ffn_up.weight"]) == ("F16", "Q8_0")
    assert kinds["output_norm.weight"] == "F32"


@pytest.mark.parametrize("kind", ["wordpiece", "byte"])
def test_a_tokenizer_that_llama_cpp_does_not_know_is_refused(tmp_path: Path, kind: Any) -> None:
    source = made.source(tmp_path / "model", kind=kind)
    with pytest.raises(UserError, match=r"allowed: `tokenize.kind: bpe`"):
        export_gguf(source, tmp_path / "out.gguf", numbers="f32")
    assert not (tmp_path / "out.gguf").exists()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    source = made.source(tmp_path / "model")
    with pytest.raises(UserError, match="is a folder; name a file"):
        export_gguf(source, tmp_path, numbers="f32")
    with pytest.raises(UserError, match="can't be written"):
        export_gguf(source, tmp_path / "model" / "config.json" / "x.gguf", numbers="f32")


def llama(path: Path) -> Any:
    """The file in llama.cpp, in float32 throughout."""
    library = pytest.importorskip("llama_cpp", reason=f"{MISSING}llama-cpp-python (`make llama-cpp` builds it)")
    return library.Llama(str(path), n_ctx=0, n_threads=1, type_k=0, type_v=0, verbose=False)


@pytest.mark.parametrize("changes", SHAPES)
def test_llama_cpp_says_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    source = made.source(tmp_path / "model", **changes)
    export_gguf(source, tmp_path / "out.gguf", numbers="f32")
    theirs = llama(tmp_path / "out.gguf")
    for ids, said in zip(
        made.asked(source), made.continued(source.decoder, made.asked(source), tokens=60), strict=True
    ):
        told: list[int] = []
        for token in theirs.generate([0, *ids], temp=0.0, repeat_penalty=1.0):
            if token == 0 or len(told) == 60:
                break
            told.append(token)
        assert told == said
    theirs.close()


@pytest.mark.parametrize("changes", SHAPES)
def test_llama_cpp_reads_texts_as_we_do(tmp_path: Path, changes: dict[str, Any]) -> None:
    source = made.source(tmp_path / "model", **changes)
    export_gguf(source, tmp_path / "out.gguf", numbers="q8_0")
    theirs = llama(tmp_path / "out.gguf")
    for text in (*made.PROMPTS, *TRICKY, *made.TEXTS):
        ids = source.tokenizer.encode(text, add_special_tokens=False).ids
        assert theirs.tokenize(text.encode(), add_bos=True, special=False) == [0, *ids]
        assert theirs.detokenize(ids).decode() == text
    theirs.close()


def test_llama_cpp_renders_a_chat_as_we_do(tmp_path: Path) -> None:
    source = made.source(tmp_path / "model")
    export_gguf(source, tmp_path / "out.gguf", numbers="f16")
    theirs = llama(tmp_path / "out.gguf")
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    template = theirs.metadata["tokenizer.chat_template"]
    render = Jinja2ChatFormatter(template=template, eos_token="<|im_end|>", bos_token="<|endoftext|>")
    for question in made.PROMPTS:
        text = render(messages=[{"role": "user", "content": question}]).prompt
        ids = theirs.tokenize(text.encode(), add_bos=False, special=True)
        assert ids == [0, *encode_questions(source.tokenizer, [question])[0]]
    theirs.close()
