"""`fledgling export`: the workspace's model, or a registered one, taken elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.exporting.source import Source

app = typer.Typer(help="The model for transformers, vLLM, llama.cpp or PEFT.", no_args_is_help=True)

MODEL = Annotated[
    str | None,
    typer.Option(help="A registered version or alias, or a model folder; without: the workspace's newest."),
]


@app.command()
def hf(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    model: MODEL = None,
) -> None:
    """Write a Hugging Face folder: weights, tokenizer, chat template, model card (transformers, vLLM, lm-eval)."""
    from tasks.exporting.hf import export_hf

    with _source(model) as source:
        export_hf(source, folder)
        kind = source.decoder.config.hugging_face_type
    typer.echo(f"{folder}: a {kind} of {source.decoder.parameter_count():,} parameters; `vllm serve {folder}`")


@app.command()
def gguf(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Such as fledgling.gguf.")],
    numbers: Annotated[str, typer.Option("--type", help="Of the matrices: f32 (the same text), f16 or q8_0.")] = "f32",
    model: MODEL = None,
) -> None:
    """Write a file for llama.cpp and what is made of it: weights, tokenizer, chat template."""
    from tasks.exporting.gguf import NUMBERS, export_gguf
    from tasks.stage import UserError

    chosen = next((known for known in NUMBERS if known == numbers.lower()), None)
    if chosen is None:
        raise UserError(f"--type '{numbers}' is unknown; allowed: {', '.join(NUMBERS)}")
    with _source(model) as source:
        export_gguf(source, file, numbers=chosen)
    typer.echo(f"{file}: {file.stat().st_size / 2**20:.1f} MiB in {chosen}; `llama-server -m {file}`")


@app.command()
def peft(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    base: Annotated[
        str | None, typer.Option(help="What PEFT finds the base model by: a name, or a folder of `export hf`.")
    ] = None,
    model: MODEL = None,
) -> None:
    """Write the adapter of a model that LoRA trained, in PEFT's layout."""
    from tasks.exporting.peft import export_peft

    with _folder(model) as found:
        export_peft(found, folder, base=base)
    typer.echo(f"{folder}: PeftModel.from_pretrained(base model, {str(folder)!r})")


@contextmanager
def _source(model: str | None) -> "Iterator[Source]":
    from tasks.exporting.described import described
    from tasks.serving.versions import is_folder

    with _folder(model) as folder:
        yield described(folder, version=None if model is None or is_folder(model) else model)


@contextmanager
def _folder(model: str | None) -> Iterator[Path]:
    from fledgling.generate import model_folder
    from tasks.serving.versions import is_folder

    if model is not None and is_folder(model):
        yield Path(model)
        return
    with model_folder(model) as folder:
        yield folder
