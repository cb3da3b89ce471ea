"""The model as MLflow serves it, logged as this file's text: it runs far from the project.

Beside it lie copies of model/ and of what renders a chat (`tasks.register.CHAT_CODE`). Nothing else of the project
may be imported here, and nothing at all of it before the model is loaded.
"""

from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.decoder import Decoder

FOLDER = "model_folder"  # the artifact: model.safetensors, config.json, tokenizer.json


class ServedModel(PythonModel):  # type: ignore[misc]
    """Replies to prompts or continues them. `predict` has no type hints, or MLflow drops the signature's params."""

    _model: "Decoder"
    _tokenizer: "Tokenizer"
    _chats: bool  # whether the model was taught to reply

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the weights and the tokenizer."""
        from pathlib import Path

        from model.checkpoint import load_model
        from tasks.chat import is_taught_to_chat
        from tasks.tokenizer_kinds import load_tokenizer

        folder = Path(context.artifacts[FOLDER])
        self._model = load_model(folder)
        self._tokenizer = load_tokenizer(folder / "tokenizer.json")
        self._chats = is_taught_to_chat(folder)

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """A frame with one column `text`: the reply to each prompt, or what follows it, without the prompt.

        Param chat: whether a prompt is a user's message, rendered by the chat template and replied to, or a text
        to go on with. Param stop: texts that end it, left out of it. The same seed gives the same text. Raises
        ValueError with one line on params out of range.
        """
        from model.generation import Decoding, generate
        from tasks.chat import END_OF_TURN

        chosen: dict[str, Any] = dict(params or {})
        seed, chat = int(chosen.pop("seed")), bool(chosen.pop("chat"))
        ends = [str(text) for text in chosen.pop("stop", ())]
        ids = self._ids([str(prompt) for prompt in model_input["prompt"]], chat=chat)
        stop = (END_OF_TURN,) if chat else ()
        said = generate(self._model, ids, decoding=Decoding(**chosen), seeds=[seed] * len(ids), stop=stop)
        texts = [_cut(text, ends) for text in self._tokenizer.decode_batch(said)]
        return pd.DataFrame({"text": [text.strip() for text in texts] if chat else texts})

    def _ids(self, prompts: list[str], *, chat: bool) -> list[list[int]]:
        from tasks.chat import encode_questions

        if not chat:
            return [encoding.ids for encoding in self._tokenizer.encode_batch(prompts, add_special_tokens=False)]
        if not self._chats:
            raise ValueError("this model was not taught to reply: chat must be false, it goes on from the prompt")
        return encode_questions(self._tokenizer, prompts)


def _cut(text: str, ends: "list[str]") -> str:
    """The text up to the first of the ends; an empty one ends nothing."""
    found = [at for end in ends if end and (at := text.find(end)) >= 0]
    return text[: min(found, default=len(text))]


set_model(ServedModel())
