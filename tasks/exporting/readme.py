"""The card that leaves with a model: its own, under the front matter that model hubs read, and how it is used there."""

from collections.abc import Iterator
from typing import Any

from tasks.exporting.source import Source

HUB_LICENCES = {"Apache-2.0": "apache-2.0", "MIT": "mit", "CC0-1.0": "cc0-1.0", "CC-BY-4.0": "cc-by-4.0",
                "CC-BY-SA-4.0": "cc-by-sa-4.0", "CDLA-Sharing-1.0": "cdla-sharing-1.0"}  # fmt: skip


def readme(source: Source) -> str:
    """README.md: YAML front matter with licence and metrics, the model card, how other libraries load the folder."""
    import yaml

    front = yaml.safe_dump(_front(source), sort_keys=False, allow_unicode=True)
    card = source.told.card.strip() or f"# {source.name}"
    return f"---\n{front}---\n\n{card}\n\n" + "\n".join(_use(source)) + "\n"


def _front(source: Source) -> dict[str, Any]:
    front: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation", "language": ["en"]}
    front |= _licence(source.told.licences)
    front["tags"] = ["fledgling", *(["conversational"] if source.chats else [])]
    if source.told.figures:
        front["model-index"] = [{"name": source.name, "results": [_results(source)]}]
    return front


def _licence(licences: tuple[str, ...]) -> dict[str, str]:
    """The data's licence where it is one that hubs know; what there is otherwise."""
    if len(licences) == 1 and licences[0] in HUB_LICENCES:
        return {"license": HUB_LICENCES[licences[0]]}
    return {"license": "other", "license_name": ", ".join(licences) or "unknown"}


def _results(source: Source) -> dict[str, Any]:
    metrics = [{"type": key, "name": key.replace("_", " "), "value": value} for key, value in source.told.figures]
    dataset = {"name": "the hold-outs of its own chain", "type": "fledgling"}
    return {"task": {"type": "text-generation"}, "dataset": dataset, "metrics": metrics}


def _use(source: Source) -> Iterator[str]:
    config = source.decoder.config
    yield "## Elsewhere"
    yield ""
    yield "The tokenizer puts the end token in front of a text, as in training; the chat template does it for a chat."
    yield ""
    yield "```python"
    yield "from transformers import AutoModelForCausalLM, AutoTokenizer"
    yield ""
    yield 'folder = "."  # this one'
    yield "tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)"
    yield from _asked(source.chats)
    yield f"said = model.generate(**ids, max_new_tokens={min(120, config.context // 2)})"
    yield 'print(tokenizer.decode(said[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))'
    yield "```"
    yield ""
    yield f"vLLM: `vllm serve . --served-model-name {source.name} --max-model-len {config.context}`."


def _asked(chats: bool) -> Iterator[str]:
    if not chats:
        yield 'ids = tokenizer("Once upon a time", return_tensors="pt", return_token_type_ids=False)'
        return
    yield 'chat = [{"role": "user", "content": "Write a story about courage."}]'
    yield "ids = tokenizer.apply_chat_template("
    yield '    chat, add_generation_prompt=True, return_tensors="pt", return_dict=True'
    yield ")"
