"""What the chain left behind, read from dvc.lock and the files it speaks of: the facts that MLflow is told."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks import report
from tasks.dvc_hashes import dvc_md5
from tasks.stage import PARAMS_FILE, STATE, UserError, read_yaml
from tasks.workspace import LOCK

EVIDENCE = ("models/", "metrics/")  # outs that make a model and its figures what they are
GATE = "gate"  # the stage that says how a model stands to a champion, of which there is another after each release


@dataclass(frozen=True, kw_only=True)
class TrackedFile:
    """A file or folder that DVC holds, with the hash of its bytes."""

    path: str
    md5: str


class Lock:
    """dvc.lock: which bytes went into each stage and came out of it."""

    def __init__(self, path: Path = LOCK, *, stages: Mapping[str, Any] | None = None) -> None:
        self.path = path
        read = read_yaml(path) if stages is None and path.exists() else {"stages": stages or {}}
        self._stages: Mapping[str, Any] = read.get("stages", {})

    @classmethod
    def parse(cls, text: str) -> "Lock":
        """A dvc.lock that is no file here, as that of a commit."""
        from ruamel.yaml import YAML

        document = YAML(typ="safe").load(text) or {}  # no lines to tell of, and ten times faster
        return cls(stages=document.get("stages", {}))

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(self._stages)

    @cached_property
    def outs(self) -> dict[str, str]:
        """The hash of every out, by path."""
        return {out["path"]: out["md5"] for stage in self._stages.values() for out in stage.get("outs", ())}

    @cached_property
    def sources(self) -> dict[str, str]:
        """The hash of what stages read and none of them made, by path: code, and files of the user's."""
        deps = [dep for stage in self._stages.values() for dep in stage.get("deps", ())]
        return {dep["path"]: str(dep["md5"]) for dep in deps if dep["path"] not in self.outs}

    def inputs(self, stage: str) -> list[TrackedFile]:
        """What a stage read that DVC holds: outs of other stages, and files beside which a .dvc file stands."""
        deps = self._stages.get(stage, {}).get("deps", ())
        tracked = [dep for dep in deps if dep["path"] in self.outs or Path(f"{dep['path']}.dvc").exists()]
        return [TrackedFile(path=dep["path"], md5=dep["md5"]) for dep in tracked]

    def made(self, stage: str) -> dict[str, str]:
        """The hash of every out of one stage, by path."""
        return {out["path"]: str(out["md5"]) for out in self._stages.get(stage, {}).get("outs", ())}

    def outs_key(self, stage: str) -> str:
        """SHA-256 over the outs of a stage: its runs that made the same bytes have the same."""
        return hashlib.sha256(json.dumps(sorted(self.made(stage).items())).encode()).hexdigest()

    def section(self, stage: str) -> Mapping[str, Any]:
        """The section of params.yaml of a stage's name, as it ran with it."""
        return dict(self._stages.get(stage, {}).get("params", {}).get(str(PARAMS_FILE), {}).get(stage, {}))

    def params(self, stage: str) -> dict[str, str]:
        """The parameters a stage ran with: its own section, flattened to text."""
        return flat(self.section(stage))

    def profile(self) -> str:
        """The profile that the chain ran with; empty where no stage read it."""
        read = [stage.get("params", {}).get(str(PARAMS_FILE), {}) for stage in self._stages.values()]
        return next((str(params["profile"]) for params in read if "profile" in params), "")

    def content_key(self) -> str:
        """SHA-256 over the hashes of the models and their figures: the same for the same bytes.

        What the gate says is left out: beside another champion it says something else of the same model.
        """
        of_gate = self.made(GATE)
        outs = [(path, md5) for path, md5 in self.outs.items() if path not in of_gate]
        chosen = sorted((path, md5) for path, md5 in outs if path.startswith(EVIDENCE))
        return hashlib.sha256(json.dumps(chosen).encode()).hexdigest()

    def check(self, path: Path) -> None:
        """Raises UserError where a file or folder does not hold the bytes that dvc.lock names."""
        wanted = self.outs.get(str(path))
        if wanted is None:
            raise UserError(f"{self.path} names no {path}: run the chain first (`make pipeline` or `dvc repro`)")
        if not path.exists():
            raise UserError(f"{path} is missing; `dvc checkout` brings it back, `dvc repro` makes it")
        if dvc_md5(path) != wanted:
            raise UserError(f"{path} is not what {self.path} says it is; `dvc repro` or `dvc checkout` mends it")


def rows_by(files: Mapping[str, Path], *columns: str) -> list[tuple[tuple[Any, ...], Counter[str]]]:
    """Rows of Parquet files by the values of some columns, each with how many are in which file; sorted by them."""
    import pyarrow.parquet as pq

    found: dict[tuple[Any, ...], Counter[str]] = {}
    for name, path in files.items():
        table = pq.read_table(path, columns=list(columns)).group_by(list(columns))
        for row in table.aggregate([([], "count_all")]).to_pylist():
            found.setdefault(tuple(row[column] for column in columns), Counter())[name] += row["count_all"]
    return sorted(found.items())


def params_now(stage: str) -> dict[str, str]:
    """A stage's section of params.yaml as it stands, flattened to text; `${NAME}` is left as it is written."""
    return flat(read_yaml(PARAMS_FILE).get(stage, {}))


def flat(section: Mapping[Any, Any], above: str = "") -> dict[str, str]:
    """A nested section as `a.b: text`; a list is its JSON."""
    found: dict[str, str] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return found


def figures(stage: str) -> dict[str, float]:
    """The numbers in a stage's metrics file."""
    return _numbers(report.read_json(report.metrics_file(stage)))


def timings(stage: str) -> dict[str, float]:
    """What a stage cost when it last ran here: var/timings/<stage>.json."""
    return _numbers(report.read_json(STATE / "timings" / f"{stage}.json"))


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    numbers = {key: value for key, value in values.items() if isinstance(value, int | float)}
    return {key: float(value) for key, value in numbers.items() if math.isfinite(value)}


def portions(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """A sequence in pieces of at most `size`: MLflow takes 1,000 metrics and 100 params a call."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
