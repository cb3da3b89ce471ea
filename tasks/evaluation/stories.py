"""Stories that a model tells from openings of the test split, and what can be counted of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from tasks.records import read_rows
from tasks.stage import Params

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.decoder import Decoder


class StoryParams(Params):
    """How many stories, from how much of an opening, drawn how."""

    count: int = Field(ge=2)
    opening_words: int = Field(ge=1)
    max_tokens: int = Field(ge=1)
    temperature: float = Field(ge=0)
    top_p: float = Field(gt=0, le=1)
    batch: int = Field(ge=1)  # stories told at once
    memorised_ngram: int = Field(ge=2)  # words


@dataclass(frozen=True, kw_only=True)
class ToldStory:
    """The opening that was given, what the model added, and whether it came to an end by itself."""

    opening: str
    continuation: str
    ended: bool

    def as_markdown(self, *, model: str) -> str:
        end = "" if self.ended else " [...]"
        return f'## {model}, from "{self.opening}"\n\n{self.opening}{self.continuation}{end}\n'


def story_openings(params: StoryParams, *, clean: Path) -> list[str]:
    """The first words of stories that no model was trained on."""
    return list(islice(_openings(clean, params.opening_words), params.count))


def write_stories(
    params: StoryParams, openings: Sequence[str], *, model: "Decoder", tokenizer: "Tokenizer", seed: int
) -> list[ToldStory]:
    """Has the model go on from the openings."""
    from model.generation import Decoding, generate

    decoding = Decoding(
        max_tokens=params.max_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
    )
    prompts = [tokenizer.encode(text, add_special_tokens=False).ids for text in openings]
    seeds = [seed + at for at in range(len(openings))]
    told = generate(model, prompts, decoding=decoding, seeds=seeds, batch=params.batch)
    return [
        ToldStory(
            opening=opening,
            continuation=tokenizer.decode(ids, skip_special_tokens=False),
            ended=len(ids) < params.max_tokens,
        )
        for opening, ids in zip(openings, told, strict=True)
    ]


def _openings(clean: Path, words: int) -> Iterator[str]:
    """The first words of the test split's stories, then of the hand-written hold-out's, each only once."""
    seen = set()
    for split in ("test", "written"):
        for row in read_rows(clean / f"{split}.parquet", ["text"]):
            opening = " ".join(str(row["text"]).split()[:words])
            if opening not in seen:
                seen.add(opening)
                yield opening


def story_figures(params: StoryParams, stories: list[ToldStory], *, clean: Path) -> dict[str, float]:
    """Diversity, repetition, endings and memorisation of told stories (the opening is not counted)."""
    from tasks.evaluation.metrics import DistinctN, MemorisedShare, RepetitionShare, SelfBleu

    texts = [story.continuation for story in stories]
    training = (str(row["text"]) for row in read_rows(clean / "train.parquet", ["text"]))
    n = params.memorised_ngram
    return {
        **DistinctN().compute(predictions=texts, n=2),
        **DistinctN().compute(predictions=texts, n=3),
        **SelfBleu().compute(predictions=texts),
        **RepetitionShare().compute(predictions=texts, n=4),
        **MemorisedShare().compute(predictions=texts, training=training, n=n),
        "ending_reached": sum(story.ended for story in stories) / len(stories),
        "story_words": sum(len(text.split()) for text in texts) / len(stories),
    }
