"""What the mixture must hold, as Great Expectations suites: one over its rows, one over its tasks."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks import expectations
from tasks.mixing.declarations import MixParams
from tasks.mixing.example import SCHEMA, SPLITS
from tasks.mixing.tokens import Encoded
from tasks.stage import UserError

if TYPE_CHECKING:
    import pandas as pd

ROWS, TASKS = "mixture", "mixture-tasks"


def check(encoded: Sequence[Encoded], params: MixParams) -> int:
    """Validates the mixture; returns how many expectations held.

    Raises UserError with the first failed expectations and example rows.
    """
    suites = [
        (ROWS, _row_frame(encoded), _row_suite(params)),
        (TASKS, _task_frame(encoded, params), _task_suite(params)),
    ]
    frames = {name: frame for name, frame, _ in suites}
    prompts = {one.example.id: one.example.prompt for one in encoded}
    lines: list[str] = []
    held = 0
    for name, outcome in expectations.run_suites(suites):
        for found in expectations.failures(outcome):
            shown = prompts if name == ROWS else _values(frames[name], found)
            lines.append(expectations.failure_line(name, found, shown))
        held += len(outcome["results"])
    if lines:
        raise UserError(expectations.refusal(lines))
    return held


def _values(frame: "pd.DataFrame", entry: Mapping[str, Any]) -> dict[str, str]:
    """What each task has in the column of a failed expectation."""
    column = entry["expectation_config"]["kwargs"]["column"]
    return {str(task): f"{column} {value:g}" for task, value in zip(frame["id"], frame[column], strict=True)}


def _row_frame(encoded: Sequence[Encoded]) -> "pd.DataFrame":
    """One row an example: its columns and what was measured of it."""
    import pandas as pd

    rows = []
    for one in encoded:
        end = 0 if one.example.is_cut else 1
        measured = {
            "split": one.example.split,
            "tokens": one.tokens,
            "answer_tokens": one.answer_tokens - end if one.example.has_answer else None,  # without the end of turn
        }
        rows.append({**one.example.row, **measured})
    return pd.DataFrame(rows, columns=[*SCHEMA.names, "split", "tokens", "answer_tokens"])


def _row_suite(params: MixParams) -> list[Any]:
    from great_expectations import expectations as gxe

    known = ("id", "group", "messages", "answer", "references", "label", "constraints", "answerable")
    filled = ("source", "licence", "origin", "aspect")  # an expectation costs 30 ms: no more of them than say something
    return [
        gxe.ExpectTableColumnsToMatchOrderedList(column_list=[*SCHEMA.names, "split", "tokens", "answer_tokens"]),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in known),
        *(gxe.ExpectColumnValueLengthsToBeBetween(column=name, min_value=1) for name in filled),
        gxe.ExpectColumnValuesToBeUnique(column="id"),
        gxe.ExpectColumnValueLengthsToEqual(column="id", value=16),
        gxe.ExpectColumnValuesToBeInSet(column="task", value_set=[task.name for task in params.tasks]),
        gxe.ExpectColumnValuesToBeInSet(column="kind", value_set=sorted({task.kind for task in params.tasks})),
        gxe.ExpectColumnValuesToBeInSet(column="split", value_set=list(SPLITS)),
        gxe.ExpectColumnValuesToBeBetween(column="tokens", min_value=1, max_value=params.context_tokens),
        gxe.ExpectColumnValuesToBeBetween(column="answer_tokens", min_value=1),
    ]


def _task_frame(encoded: Sequence[Encoded], params: MixParams) -> "pd.DataFrame":
    """One row a task: how much there is of it, of its rarest class, and what stands in two splits."""
    import pandas as pd

    in_train = sum(one.example.split == "train" for one in encoded)
    rows = []
    for task in params.tasks:
        part = [one.example for one in encoded if one.example.task == task.name]
        labels = Counter(example.label for example in part if example.split == "train")
        wanted = {example.label for example in part}
        splits_of: dict[str, set[str]] = defaultdict(set)
        for example in part:
            splits_of[example.group].add("evaluated" if example.split in ("test", "written") else example.split)
        sizes = Counter(example.split for example in part)
        is_classes = task.kind == "classification"
        rows.append(
            {
                "id": task.name,
                **{f"{split}_examples": sizes[split] for split in SPLITS},
                "share": sizes["train"] / max(1, in_train),
                "classes": len(labels) if is_classes else None,
                "rarest_class_examples": min(labels[label] for label in wanted) if is_classes and part else None,
                "groups_in_two_splits": sum(len(splits) > 1 for splits in splits_of.values()),
            }
        )
    return pd.DataFrame(rows)


def _task_suite(params: MixParams) -> list[Any]:
    from great_expectations import expectations as gxe

    expected = params.expected
    least, most = expected.task_share
    between = gxe.ExpectColumnValuesToBeBetween
    suite: list[Any] = [
        between(column="train_examples", min_value=expected.train_examples),
        between(column="test_examples", min_value=expected.test_examples),
        between(column="share", min_value=least, max_value=most),
        between(column="groups_in_two_splits", max_value=0),
    ]
    if any(task.kind == "classification" for task in params.tasks):
        suite += [
            between(column="classes", min_value=2),
            between(column="rarest_class_examples", min_value=expected.label_examples),
        ]
    return suite
