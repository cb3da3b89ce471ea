"""The chain as DVC knows it: its stages in order, what is stale, what Prefect needs to know of each."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from tasks.stage import Params, UserError

if TYPE_CHECKING:
    from dvc.repo import Repo

PATIENCE_S = 15.0  # a stage that was killed is gone after 5


class Policy(Params):
    """What the flow does with a stage; read from the stage's `meta` in dvc.yaml."""

    retries: int = Field(default=0, ge=0)
    retry_delay_s: float = Field(default=0, ge=0)
    time_limit_s: float | None = Field(default=None, gt=0)
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StageNode:
    """One stage of dvc.yaml with the stages it reads from."""

    name: str
    description: str
    upstream: tuple[str, ...]
    policy: Policy
    metrics: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The stages in an order in which each comes after what it reads from, and which of them are stale."""

    stages: tuple[StageNode, ...]
    stale: frozenset[str]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.stages)

    def to_run(self, *, force: bool = False) -> tuple[StageNode, ...]:
        """The stale stages and everything downstream of one (DVC skips those that turn out the same)."""
        touched = set(self.names) if force else set(self.stale)
        for stage in self.stages:
            if touched.intersection(stage.upstream):
                touched.add(stage.name)
        return tuple(stage for stage in self.stages if stage.name in touched)


def read_chain(root: Path = Path(), *, wait: bool = False) -> Chain:
    """Asks DVC for the graph and for what is stale. Raises UserError where dvc.yaml can't be read.

    wait: some seconds for a stage that still runs, such as that of a run that was just killed.
    """
    from dvc.lock import LockError

    until = time.monotonic() + (PATIENCE_S if wait else 0)
    while True:
        try:
            return _read(root, wait=wait)
        except LockError as error:
            if time.monotonic() > until:
                raise UserError(f"dvc: {_busy(str(error))}; wait for its end") from None
        time.sleep(0.5)


def _busy(told: str) -> str:
    """Who holds which file, in one line; of DVC's own words those after the first blank line are advice."""
    return " ".join(told.partition("\n\n")[0].split())


def _read(root: Path, *, wait: bool) -> Chain:
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo(str(root), _wait_for_lock=wait) as repo:
            status = repo.status()
            stages = tuple(_in_order(repo))
    except LockError:
        raise
    except (DvcException, SCMError) as error:
        raise UserError(f"dvc: {str(error).splitlines()[0]}; `fledgling doctor` says what to do") from None
    names = {stage.name for stage in stages}
    return Chain(stages=stages, stale=frozenset(names.intersection(status)))


def _in_order(repo: "Repo") -> Sequence[StageNode]:
    import networkx  # type: ignore[import-untyped,unused-ignore]

    graph = repo.index.graph  # an arrow from a stage to each that it reads from
    ordered = networkx.lexicographical_topological_sort(graph.reverse(), key=lambda stage: stage.addressing)
    reads = {stage: [found.name for found in graph.successors(stage) if found.cmd] for stage in graph}
    return [_node(stage, reads[stage]) for stage in ordered if stage.cmd]  # a .dvc file has no command


def _node(stage: Any, upstream: Sequence[str]) -> StageNode:
    return StageNode(
        name=stage.name,
        description=stage.desc or "",
        upstream=tuple(sorted(upstream)),
        policy=_policy(stage.name, stage.meta or {}),
        metrics=tuple(str(out) for out in stage.outs if out.metric),
        outs=tuple(str(out) for out in stage.outs if not out.metric),
        params=tuple(section for dep in stage.deps for section in getattr(dep, "params", ())),
    )


def _policy(name: str, meta: Any) -> Policy:
    where, allowed = f"dvc.yaml: stage '{name}'", ", ".join(Policy.model_fields)
    if not isinstance(meta, Mapping):
        raise UserError(f"{where}: 'meta' must hold keys: {allowed}; got {meta!r}")
    if unknown := sorted(str(key) for key in meta if key not in Policy.model_fields):
        raise UserError(f"{where}: unknown key 'meta.{unknown[0]}'; allowed here: {allowed}")
    try:
        return Policy.model_validate_json(json.dumps(meta, default=str))  # as params.yaml is read: no type is guessed
    except ValidationError as error:
        mistake = error.errors()[0]
        key = ".".join(map(str, ("meta", *mistake["loc"])))
        message = f"{mistake['msg'][:1].lower()}{mistake['msg'][1:]}"
        raise UserError(f"{where}: '{key}': {message}; got {mistake['input']!r}") from None
