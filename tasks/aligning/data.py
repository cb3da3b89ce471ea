"""What `align` reads: its files, and the preferences in them as examples to learn from and pairs to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.preferences.judged import Judged, judged_answers, judged_pairs
from tasks.adaptation import check_vocabulary
from tasks.aligning.rows import (
    SOURCES,
    PairRow,
    ThumbRow,
    encode_answers,
    read_pairs,
    read_thumbs,
    refuse_shared_clusters,
    without_too_long,
)
from tasks.chat import is_taught_to_chat
from tasks.stage import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.decoder import Decoder
    from tasks.align import AlignParams


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the stage reads; see `align`."""

    model: Path
    pairs: Path
    mixture: Path
    tokens: Path

    def files(self) -> list[Path]:
        """Everything that decides a byte of the weights."""
        names = ("model.safetensors", "config.json", "tokenizer.json")
        read = [path for folder in (self.mixture / "tokens", self.pairs) for path in folder.iterdir() if path.is_file()]
        text = [*self.tokens.glob("train.*"), *self.tokens.glob("validation.*")]
        return [*(self.model / name for name in names), *read, *text]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Examples to learn from, pairs to look at, and how many of what there is."""

    train: Judged
    held_out: Judged
    prompts: Sequence[str]  # of the held-out pairs
    figures: dict[str, float | int]


def check_model(inputs: Inputs, decoder: Decoder) -> None:
    """Raises UserError for a model that knows no chat, and for token files that hold ids it has no embedding of."""
    if not is_taught_to_chat(inputs.model):
        raise UserError(f"{inputs.model} was not taught to chat; align starts from what the stage finetune made")
    check_vocabulary(decoder, inputs.model, inputs.mixture / "tokens", inputs.tokens)


def read_data(params: AlignParams, inputs: Inputs, *, codec: Tokenizer, decoder: Decoder) -> Data:
    """The data by the lines of its files. Raises UserError naming the line that cannot be learnt from."""
    read = [read_pairs(inputs.pairs / f"{split}.jsonl") for split in ("train", "validation")]
    refuse_shared_clusters(*read)
    train, validation = (without_too_long(codec, rows, context=decoder.config.context) for rows in read)
    thumbs = read_thumbs(inputs.pairs / "thumbs.jsonl") if params.loss == "kto" else []
    judged = _thumbs if params.loss == "kto" else _pairs
    figures = {
        "pairs": len(train),
        "corrections_too_long": sum(map(len, read)) - len(train) - len(validation),
        "pairs_weight": sum(row.weight for row in train),
        "validation_pairs": len(validation),
        "thumbs": len(thumbs),
    }
    return Data(
        train=judged(params, train, thumbs, codec=codec, decoder=decoder),
        held_out=_pairs(params, validation, [], codec=codec, decoder=decoder),
        prompts=[row.prompt for row in validation],
        figures=figures | {f"pairs_{source}": sum(row.source == source for row in train) for source in SOURCES},
    )


def _pairs(
    params: AlignParams, rows: Sequence[PairRow], thumbs: Sequence[ThumbRow], *, codec: Tokenizer, decoder: Decoder
) -> Judged:
    context = decoder.config.context
    chosen, rejected = (
        encode_answers(codec, asked, context=context)
        for asked in ([row.asked_chosen() for row in rows], [row.asked_rejected() for row in rows])
    )
    weights = [row.weight for row in rows]
    return judged_pairs(chosen, rejected, weights=weights, end_id=decoder.config.end_id)


def _thumbs(
    params: AlignParams, rows: Sequence[PairRow], thumbs: Sequence[ThumbRow], *, codec: Tokenizer, decoder: Decoder
) -> Judged:
    """Thumbs, and each pair as two of them where the parameters say so."""
    found = [(row.asked(), row.desirable, row.weight) for row in thumbs]
    for row in rows if params.kto.pairs_too else ():
        found += [(row.asked_chosen(), True, row.weight), (row.asked_rejected(), False, row.weight)]
    if not found:
        raise UserError(
            "align.loss is kto, but there is no thumb in thumbs.jsonl; set align.kto.pairs_too, or loss to dpo"
        )
    return judged_answers(
        encode_answers(codec, [asked for asked, _, _ in found], context=decoder.config.context),
        desirable=[desirable for _, desirable, _ in found],
        weights=[weight for _, _, weight in found],
        end_id=decoder.config.end_id,
        context=decoder.config.context,
        seed=params.seed,
    )
