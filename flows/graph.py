"""The chain as DVC knows it: its stages in order, what is stale, what Prefect needs to know of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.stage import UserError

if TYPE_CHECKING:
    from dvc.repo import Repo


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the flow does with a stage; read from the stage's `meta` in dvc.yaml."""

    retries: int = 0
    retry_delay_s: float = 0
    time_limit_s: float | None = None
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


def read_chain(root: Path = Path()) -> Chain:
    """Asks DVC for the graph and for what is stale. Raises UserError where dvc.yaml can't be read."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo(str(root)) as repo:
            status = repo.status()
            stages = tuple(_in_order(repo))
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


def _policy(name: str, meta: dict[str, Any]) -> Policy:
    allowed = Policy.__dataclass_fields__
    unknown = set(meta) - set(allowed)
    if unknown:
        raise UserError(
            f"dvc.yaml: stage '{name}': unknown key 'meta.{min(unknown)}'; allowed here: {', '.join(allowed)}"
        )
    return Policy(**{**meta, "tags": tuple(meta.get("tags", ()))})
