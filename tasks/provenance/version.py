"""The way of a model version, put together from the registry, git, dvc.lock and the bytes that it names."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tasks import workspace
from tasks.provenance.artifacts import as_registered, read
from tasks.provenance.held import Held
from tasks.provenance.learnt import Parts, parts_of
from tasks.provenance.locked import find_lock, known
from tasks.provenance.run_history import runs_of
from tasks.provenance.way import Code, Event, Gate, Model, VersionWay
from tasks.registry.evidence import Lock
from tasks.registry.versions import NAME

if TYPE_CHECKING:
    from mlflow import MlflowClient

GATE = "gate/gate.json"  # an artifact of the version's run
PARTS = [field.name for field in fields(Parts) if field.name != "not_found"]


def trace_version(client: "MlflowClient", number: int, held: Held | None = None) -> VersionWay:
    """The way of a version of the registry; what is not here is told as it was when it was registered."""
    version = client.get_model_version(NAME, str(number))
    found = find_lock(version.tags)
    day = moment(version.creation_timestamp)[:10]
    parts = Parts(not_found=_no_lock(version.tags))
    if found is not None:
        parts = parts_of(found, held or Held(), until=day)
    values: dict[str, Any] = {name: getattr(parts, name) for name in PARTS}
    before = as_registered(client, version) if parts.not_found else None
    told = [name for name in PARTS if values[name] is None and getattr(before, name, None) is not None]
    values |= {name: getattr(before, name) for name in told}
    return VersionWay(
        model=_model(version),
        history=tuple(sorted(_history(version), key=lambda event: event.at)),
        gate=_gate(client, version),
        code=_code(version.tags),
        runs=runs_of(client, version, found.lock if found else Lock(stages={})),
        not_found=tuple(parts.not_found.values()),
        from_registration=tuple(told),
        **{**values, "batches": values["batches"] or ()},
    )


def moment(at_ms: int) -> str:
    """MLflow's milliseconds as ISO 8601."""
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).isoformat(timespec="seconds")


def _no_lock(tags: Mapping[str, str]) -> dict[str, str]:
    wanted = known(tags, "dvc_lock_hash")
    if wanted is None:
        return {"dvc.lock": "dvc.lock: the version names none"}
    way_out = "`dvc exp push` where it was registered and `dvc exp pull` here bring it"
    return {"dvc.lock": f"dvc.lock as {wanted[:8]}: neither here nor in a commit of the version's; {way_out}"}


def _model(version: Any) -> Model:
    tags = version.tags
    return Model(
        name=version.name,
        version=int(version.version),
        model=tags.get("model", ""),
        aliases=tuple(sorted(version.aliases)),
        registered=moment(version.creation_timestamp),
        reason=tags.get("reason", ""),
        content_key=tags.get("content_key", ""),
        model_md5=tags.get("model_md5", ""),
        demonstration=tags.get("demonstration") == "true",
    )


def _history(version: Any) -> Iterator[Event]:
    """What the tags tell of: of what was done more than once, the last time."""
    tags = version.tags
    yield Event(at=moment(version.creation_timestamp), what="registered", by="", note=tags.get("reason", ""))
    if by := known(tags, "promoted_by"):
        over, despite = known(tags, "promoted_over"), known(tags, "promoted_despite")
        note = f"over version {over}" if over else "as the first champion"
        note += f", despite the gate: {despite}" if despite else ""
        yield Event(at=tags.get("promoted_at", ""), what="promoted", by=by, note=note)
    if by := known(tags, "rolled_back_by"):
        note = known(tags, "rolled_back_reason") or ""
        yield Event(at=tags.get("rolled_back_at", ""), what="rolled back", by=by, note=note)
    if by := known(tags, "gate_declined_by"):
        note = known(tags, "gate_declined_comment") or ""
        yield Event(at=tags.get("gate_declined_at", ""), what="declined", by=by, note=note)


def _gate(client: "MlflowClient", version: Any) -> Gate | None:
    tags = version.tags
    if "gate_decision" not in tags:
        return None
    data = read(client, version.run_id, GATE)
    figures = {} if data is None else json.loads(data)
    reasons = figures.get("reasons") or [known(tags, "gate_reasons")]
    return Gate(
        decision=tags["gate_decision"],
        reasons=tuple(str(reason) for reason in reasons if reason),
        champion=tags.get("gate_champion", ""),
        figures=figures,
    )


def _code(tags: Mapping[str, str]) -> Code:
    commit = known(tags, "git_commit")
    return Code(
        commit=commit,
        subject=workspace.subject(commit) if commit else None,
        dirty=tags.get("dirty") == "true",
        experiment=known(tags, "dvc_exp"),
        experiment_commit=known(tags, "dvc_exp_commit"),
    )
