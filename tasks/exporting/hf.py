"""A folder that transformers, vLLM and lm-eval load as it is, and that gives there what it gives here.

Beside the weights it differs from a model folder of ours in one thing: the end token that stands in front of every text
in training is put there by its tokenizer and its chat template, so that nobody has to know of it.
"""

import json
from pathlib import Path
from typing import Any

from tasks.chat import CHAT_TEMPLATE, END_OF_TURN, PAD
from tasks.exporting.readme import readme
from tasks.exporting.source import Source, new_folder
from tasks.tokenizer_kinds import END, SPECIAL_TOKENS

TEMPLATE = "{{ bos_token }}" + CHAT_TEMPLATE
SAMPLING = ("temperature", "top_p")  # of `tasks.register.DECODING`: what the model was judged with


def export_hf(source: Source, folder: Path) -> None:
    """Writes the folder whole or not at all. Raises UserError where one is there already, or it can't be written."""
    with new_folder(folder) as made:
        _write_weights(source, made)
        _write_tokenizer(source, made)
        _write_json(made / "generation_config.json", generation_config(chats=source.chats))
        (made / "README.md").write_text(readme(source), encoding="utf-8")


def generation_config(*, chats: bool) -> dict[str, Any]:
    """How the model is sampled where nobody says otherwise, and where it ends: a chat model also at a turn's end."""
    from tasks.register import DECODING

    ends: int | list[int] = [END_OF_TURN, END] if chats else END
    sampling = {key: DECODING[key] for key in SAMPLING}
    return {"bos_token_id": END, "do_sample": True, "eos_token_id": ends, "pad_token_id": PAD, **sampling}


def _write_weights(source: Source, made: Path) -> None:
    from model.checkpoint import save_model

    save_model(made, source.decoder, tokenizer=None)
    (made / "model.safetensors").chmod(0o644)  # the library writes it for its owner alone


def _write_tokenizer(source: Source, made: Path) -> None:
    """tokenizer.json with the end token in front of a text, its settings, and the template of one that chats."""
    from tokenizers import Tokenizer, processors

    end = SPECIAL_TOKENS[END]
    tokenizer = Tokenizer.from_file(str(source.folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{end}:0 $A:0", pair=f"{end}:0 $A:0 {end}:1 $B:1", special_tokens=[(end, END)]
    )
    tokenizer.save(str(made / "tokenizer.json"))
    settings = {
        "bos_token": end,
        "clean_up_tokenization_spaces": False,
        "eos_token": SPECIAL_TOKENS[END_OF_TURN if source.chats else END],
        "model_max_length": source.decoder.config.context,
        "pad_token": SPECIAL_TOKENS[PAD],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    _write_json(made / "tokenizer_config.json", settings)
    if source.chats:
        (made / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
