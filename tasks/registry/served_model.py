"""The model as MLflow serves it, logged as this file's text: it runs far from the project, beside a copy of model/.

Only model/ may be imported here, and nothing of it before the model is loaded.
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
    """Continues prompts. `predict` has no type hints, or MLflow drops the signature and its params."""

    _model: "Decoder"
    _tokenizer: "Tokenizer"

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the weights and the tokenizer."""
        from pathlib import Path

        from tokenizers import Tokenizer

        from model.checkpoint import load_model

        folder = Path(context.artifacts[FOLDER])
        self._model = load_model(folder)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """A frame with one column `text`: each prompt's continuation, without the prompt.

        The same seed gives the same text. Raises ValueError with one line on params out of range.
        """
        from model.generation import Decoding, generate

        chosen: dict[str, Any] = dict(params or {})
        seed = int(chosen.pop("seed"))
        prompts = [str(prompt) for prompt in model_input["prompt"]]
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(prompts, add_special_tokens=False)]
        continued = generate(self._model, ids, decoding=Decoding(**chosen), seeds=[seed] * len(ids))
        return pd.DataFrame({"text": self._tokenizer.decode_batch(continued)})


set_model(ServedModel())
