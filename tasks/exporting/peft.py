"""The adapter of a LoRA run in the layout that the library PEFT loads."""

import shutil
from pathlib import Path

from tasks.exporting.source import new_folder
from tasks.stage import UserError

ADAPTER = "adapter"  # beside the merged model, as `tasks.adaptation.write_chat_model` leaves it


def export_peft(model: Path, folder: Path, *, base: str | None) -> None:
    """Writes what LoRA learnt, the tokenizer with it.

    base: what PEFT's auto classes find the base model by, a name on a hub or a folder of `export hf`; None: whoever
    loads it names it. Raises UserError for a model without an adapter, or with one that does not fit it.
    """
    from model.checkpoint import load_model
    from model.lora import CONFIG_FILE, load_adapter, save_adapter

    adapter = model / ADAPTER
    if not (adapter / CONFIG_FILE).is_file():
        raise UserError(
            f"{model} holds no {ADAPTER}/: it was trained in full; `method: lora` in params.yaml trains an adapter"
        )
    try:
        decoder = load_model(model)
        load_adapter(adapter, decoder)
    except ValueError as error:
        raise UserError(str(error).splitlines()[0]) from error
    with new_folder(folder) as made:
        save_adapter(made, decoder, base=base)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
            if (model / name).is_file():
                shutil.copyfile(model / name, made / name)
