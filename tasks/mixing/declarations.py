"""What params.yaml says of the tasks: their sources, field maps, templates, splits, metrics."""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tasks.cleaning.contamination import ContaminationParams
from tasks.mixing.templates import columns_of
from tasks.records import FEEDBACK_SOURCE
from tasks.stage import Params

Kind = Literal["classification", "summarization", "translation", "assistant"]
View = Literal["feeling", "theme", "summary", "swedish", "question", "story", "opening"]
Split = Literal["train", "validation", "test"]

_ROUGE = ("rouge_1", "rouge_2", "rouge_l")
_BEYOND_THE_SOURCE = (
    "made_up_words", "made_up_names", "answers_with_made_up_names", "answered_unanswerable", "refused_answerable",
)  # fmt: skip
_CONSTRAINTS = (
    "constraints_met", "all_constraints_met", "words_constraints_met", "sentence_constraints_met",
    "length_constraints_met",
)  # fmt: skip
METRICS: dict[str, tuple[str, ...]] = {  # what the stage evaluate tells of each kind, by the names of its figures
    "classification": ("accuracy", "macro_f1", "roc_auc"),
    "summarization": (*_ROUGE, "meteor", *_BEYOND_THE_SOURCE, *_CONSTRAINTS),
    "translation": ("bleu", "chrf", *_CONSTRAINTS),
    "assistant": ("exact_match", "token_f1", *_ROUGE, *_BEYOND_THE_SOURCE, *_CONSTRAINTS),
}
VIEW_COLUMNS: dict[str, tuple[str, ...]] = {
    "feeling": ("story",),
    "theme": ("story",),
    "summary": ("story",),
    "swedish": ("sentence",),
    "question": ("story", "question"),
    "story": ("words", "sentence", "feeling", "theme", "summary", "length"),
    "opening": ("sentence",),
}
PASSAGE_VIEWS = ("feeling", "question")
PLAIN_VIEWS = ("opening",)  # of any clean text: no annotations are needed
VIEW_KINDS: dict[str, tuple[str, ...]] = {
    "feeling": ("classification",),
    "theme": ("classification",),
    "summary": ("summarization",),
    "swedish": ("translation",),
    "question": ("assistant",),
    "story": ("assistant",),
    "opening": ("assistant",),
}

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Templates = Annotated[tuple[str, ...], Field(min_length=1)]


class SourceParams(Params):
    """Where examples of a task come from. Of several templates one is taken by the hash of each record."""

    name: Slug
    templates: Templates
    examples: int | None = Field(default=None, gt=0)  # most of the train split; None: all

    @field_validator("templates")
    @classmethod
    def _are_templates(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            columns_of(template)
        return templates

    @property
    def template_columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for template in self.templates for name in columns_of(template)))

    def check_columns(self, known: tuple[str, ...], *more: str) -> None:
        """Raises ValueError for a column that a template or a setting names and nobody knows."""
        for template in self.templates:
            for name in columns_of(template):
                if name not in known:
                    raise ValueError(
                        f"source '{self.name}': template {template!r} names the unknown column '{name}'; "
                        f"there are {', '.join(known)}"
                    )
        for name in more:
            if name not in known:
                raise ValueError(f"source '{self.name}': unknown column '{name}'; there are {', '.join(known)}")


class StorybookSource(SourceParams):
    """The clean stories and their annotations, in the splits that they have there."""

    kind: Literal["storybook"]
    view: View
    passage: bool = False  # of feelings and questions: the paragraph that matters, not the whole story
    unknown_answer: str = Field(default="The story does not say.", min_length=1)  # to what the story does not say
    licence: str = "Apache-2.0"

    @model_validator(mode="after")
    def _columns(self) -> "StorybookSource":
        self.check_columns(VIEW_COLUMNS[self.view])
        if self.passage and self.view not in PASSAGE_VIEWS:
            raise ValueError(f"source '{self.name}': 'passage' is for the views {', '.join(PASSAGE_VIEWS)}")
        return self


class PatternColumn(Params):
    """A column made of a part of another: the group of a pattern, or nothing where it isn't found."""

    column: str
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _has_a_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        if groups != 1:
            raise ValueError(f"{pattern!r} has {groups} groups; the one group is what the column takes")
        return pattern


class ConstraintColumns(Params):
    """Columns of what a reply must hold, to be checked by code."""

    words: str | None = None  # a column of words, with commas between them
    sentence: str | None = None
    length: tuple[int, int] | None = None  # least and most words, of every reply


class RowsSource(SourceParams):
    """Rows with fields. `fields`: our columns to their fields."""

    fields: dict[str, str] = Field(min_length=1)
    patterns: dict[str, PatternColumn] = Field(default={})  # more columns, found in those of `fields`
    answer: str | None  # a template; None: prompts without an answer, for the test split alone
    split_by: str  # the column whose equal values never straddle a split
    split: Split | None = None  # None: by the hash of split_by
    document: str | None = None  # the column that the request is about
    labels: dict[str, tuple[str, ...]] = Field(default={})  # classification: groups of labels, group to labels
    constraints: ConstraintColumns = ConstraintColumns()
    optional: tuple[str, ...] = ()  # columns that may be empty
    shorten: str | None = None  # the column whose end is cut off where prompt and answer don't fit the context
    unanswerable: str | None = None  # the answer that says that the document does not say
    aspect: str = ""
    licence: str

    @model_validator(mode="after")
    def _columns(self) -> "RowsSource":
        named = (self.split_by, self.document, self.shorten, self.constraints.words, self.constraints.sentence)
        answer = columns_of(self.answer) if self.answer is not None else ()
        self.check_columns((*self.fields, *self.patterns), *(n for n in named if n), *self.optional, *answer)
        for found in self.patterns.values():
            if found.column not in self.fields:
                raise ValueError(f"source '{self.name}': a pattern names the unknown column '{found.column}'")
        if self.answer is None and self.split != "test":
            raise ValueError(f"source '{self.name}': without an answer it can only be split: test")
        twice = [v for v, n in Counter(v for values in self.labels.values() for v in values).items() if n > 1]
        if twice:
            raise ValueError(f"source '{self.name}': label '{twice[0]}' stands in two groups")
        return self


class FilesSource(RowsSource):
    """Files of .jsonl, .csv (each also .gz) or .parquet; globs are relative to `mix.folder`."""

    kind: Literal["files"]
    globs: tuple[str, ...] = Field(min_length=1)


class HubSource(RowsSource):
    """A data set of the Hugging Face hub, streamed."""

    kind: Literal["hub"]
    dataset: str
    revision: str | None
    subset: str | None = None
    hub_split: str = "train"
    records: int | None = Field(default=None, gt=0)  # the first so many; None: all


Source = Annotated[StorybookSource | FilesSource | HubSource, Field(discriminator="kind")]


class TaskParams(Params):
    """A task: what the model learns and is measured at."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")  # part of the figures' names
    kind: Kind
    sources: tuple[Source, ...] = Field(min_length=1)
    metrics: tuple[str, ...] = ()  # of METRICS; the headline figure is always told; none given: all of the kind

    @model_validator(mode="after")
    def _fit_the_kind(self) -> "TaskParams":
        for source in self.sources:
            if isinstance(source, StorybookSource) and self.kind not in VIEW_KINDS[source.view]:
                raise ValueError(f"task '{self.name}': view '{source.view}' is for {VIEW_KINDS[source.view][0]}")
            if isinstance(source, RowsSource) and source.labels and self.kind != "classification":
                raise ValueError(f"task '{self.name}': 'labels' are for classification")
        unknown = set(self.metrics) - set(METRICS[self.kind])
        if unknown:
            raise ValueError(
                f"task '{self.name}': unknown metric '{min(unknown)}'; "
                f"{self.kind} knows {', '.join(METRICS[self.kind])}"
            )
        return self


class SharesParams(Params):
    """The shares of the splits of files and hub sources; the rest is for training."""

    validation: float = Field(gt=0, lt=0.5)
    test: float = Field(gt=0, lt=0.5)
    seed: int = Field(ge=0)


class InstructionsParams(Params):
    """The instructions that `expand` made: training examples of one of the tasks."""

    task: str
    templates: Templates
    licence: str

    @field_validator("templates")
    @classmethod
    def _columns(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if unknown := set(columns_of(template)) - {"instruction", "input"}:
                raise ValueError(f"template {template!r}: unknown column '{min(unknown)}'; instruction and input are")
        return templates


class FeedbackParams(Params):
    """What is learnt from of what people said: corrected answers, and those that they rated highly."""

    use: bool
    corrections: bool
    least_rating: float = Field(ge=1, le=5)  # an answer's mean level over its axes, then over people
    least_ratings: int = Field(ge=1)  # people who rated it
    repeat: float = Field(gt=0)  # expected appearances of each in an epoch, where another example has one
    held_out_jaccard: float = Field(gt=0, le=1)  # of word shingles: a prompt this near to a held-out one is left out
    licence: str = Field(min_length=1)


class ExpectedParams(Params):
    """What the mixture must hold, or the stage stops."""

    train_examples: int = Field(ge=1)  # of each task
    test_examples: int = Field(ge=1)  # of each task
    label_examples: int = Field(ge=1)  # of each class, to train on
    task_share: tuple[float, float]  # least and most of the train split that a task may be


class MixParams(Params):
    """The section `mix` of params.yaml."""

    folder: Path = Field(strict=False)  # what the files of sources are relative to
    context_tokens: int = Field(ge=32)  # prompt, answer and end token
    tasks: tuple[TaskParams, ...] = Field(min_length=1)
    instructions: InstructionsParams
    feedback: FeedbackParams
    evaluation_examples: dict[str, int | None]  # most of each source, by split; None: all
    split: SharesParams
    contamination: ContaminationParams
    safety: bool  # the policy of prepare.safety, on files, hub and instructions
    bad_rows: Literal["stop", "keep apart"]
    max_row_bytes: int = Field(gt=0)
    too_long_share: float = Field(gt=0, le=1)  # of a source's rows: from there on it is a mistake
    expected: ExpectedParams

    @model_validator(mode="after")
    def _names(self) -> "MixParams":
        names = [task.name for task in self.tasks]
        sources = [source.name for task in self.tasks for source in task.sources]
        for kind, found in (("tasks", names), ("sources", sources)):
            twice = [name for name, count in Counter(found).items() if count > 1]
            if twice:
                raise ValueError(f"two {kind} are called '{twice[0]}'; each needs a name of its own")
        if FEEDBACK_SOURCE in sources:
            raise ValueError(f"a source is called '{FEEDBACK_SOURCE}'; that is the name of what people said")
        if self.instructions.task not in names:
            raise ValueError(
                f"instructions.task: unknown task '{self.instructions.task}'; there are {', '.join(names)}"
            )
        splits = {"validation", "test", "written"}
        if set(self.evaluation_examples) != splits:
            raise ValueError(f"evaluation_examples: give each of {', '.join(sorted(splits))}, and no other")
        return self
