"""The release: a model version becomes the champion, and the way back.

Every step may be taken twice, so a move that was killed is finished by the same call again; at any moment the alias
`champion` names one version. Both aliases on one version mark a move that is not finished.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tasks.gating.champion import FOLDER, write_champion
from tasks.provenance.record import record
from tasks.registry import notice
from tasks.registry.gated import evidence
from tasks.registry.versions import CANDIDATE, CHAMPION, NAME, PREVIOUS, aliases, in_one_line, now, number_of, registry
from tasks.stage import STATE, UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK = STATE / "release.lock"
NOBODY = "none"  # the tag promoted_over of the first champion


@dataclass(frozen=True, kw_only=True)
class Released:
    """The champion after a call.

    previous: the version that a rollback would bring back; left: the one that was rolled back; moved: False where the
    call found it the champion, and at most finished what a killed one had left.
    """

    name: str
    version: int
    previous: int | None
    action: Literal["promoted", "rolled_back"]
    moved: bool
    left: int | None = None

    @property
    def event(self) -> str:
        return f"fledgling.model.{self.action}"

    @property
    def line(self) -> str:
        """One line for people."""
        adverb = "now" if self.moved else "already"
        left = f", version {self.left} was rolled back" if self.left is not None else ""
        before = "no champion before it" if self.previous is None else f"version {self.previous} before it"
        return f"{self.name} version {self.version} is the champion {adverb}{left}; {before}"


def promote(version: str | None, *, by: str, despite: str = "") -> Released:
    """Makes a version the champion: tags, the two aliases, the folder champion/, a notice to the server.

    version: a number or an alias; None: the alias `candidate`. by: who decided. despite: the reason to promote what
    the gate does not speak for. Raises UserError for a version that is not there, may not be promoted, or has no
    evidence of the gate; then nothing has moved.
    """
    with _releasing(by) as client:
        number = number_of(client, version or CANDIDATE)
        champion = aliases(client).get(CHAMPION)
        with evidence(client, number) as found:
            if champion != number:
                _refuse(_tags(client, number), number, champion=champion, despite=despite)
                _tag_promotion(client, number, over=champion, by=by, despite=despite)
                if champion is not None:
                    client.set_registered_model_alias(NAME, PREVIOUS, str(champion))
                client.set_registered_model_alias(NAME, CHAMPION, str(number))
            write_champion(FOLDER, *found)
        return _finish(client, number, action="promoted", moved=champion != number)


def rollback(*, by: str, reason: str = "", leaving: int | None = None) -> Released:
    """Makes the previous champion the champion again, and the one that it was promoted over the previous one.

    leaving: the version that shall go; where it is the champion no more, nothing moves, so that a call may be repeated.
    previous_champion moves last: a killed rollback is finished by the next call, which goes no further back. Raises
    UserError where there is none to go back to; then nothing has moved.
    """
    with _releasing(by) as client:
        champion, previous = _pair(client)
        moves = champion != previous and leaving in (None, champion)
        target = previous if moves else champion
        if target is None:
            raise UserError(f"version {champion} is the only champion so far: there is none to go back to")
        with evidence(client, target) as found:
            if moves:
                _tag(client, champion, rolled_back_by=by, rolled_back_at=now(), rolled_back_reason=reason or NOBODY)
                client.set_registered_model_alias(NAME, CHAMPION, str(target))
            write_champion(FOLDER, *found)
        return _finish(client, target, action="rolled_back", moved=moves, left=champion if moves else leaving)


@contextmanager
def _releasing(by: str) -> "Iterator[MlflowClient]":
    """One move at a time in this folder; the kernel gives the lock back where a process is killed."""
    from fasteners import InterProcessLock  # type: ignore[import-untyped,unused-ignore]

    if not by.strip():
        raise UserError("who decides? A champion is moved in somebody's name")
    if not Path("dvc.yaml").exists():
        raise UserError("dvc.yaml: no such file; run from the project's root")
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with InterProcessLock(LOCK), in_one_line():
        yield registry()


def _pair(client: "MlflowClient") -> tuple[int, int | None]:
    """The champion and the previous one. Raises UserError where there is no champion."""
    named = aliases(client)
    if CHAMPION not in named:
        raise UserError("there is no champion to roll back; `fledgling promote` makes one")
    return named[CHAMPION], named.get(PREVIOUS)


def _refuse(tags: Mapping[str, str], number: int, *, champion: int | None, despite: str) -> None:
    """Raises UserError for what the gate does not speak for, or spoke for beside another champion."""
    if despite:
        return
    allowed = "`fledgling promote --despite REASON` does it all the same"
    decision, reasons = tags.get("gate_decision", "nothing"), tags.get("gate_reasons", "")
    if decision != "promote":
        because = f": {reasons[:300]}" if reasons else ""
        raise UserError(f"the gate says '{decision}' of version {number}{because}; {allowed}")
    now = "base" if champion is None else f"{NAME}/{champion}"
    if (compared := tags.get("gate_champion", now)) != now:
        raise UserError(
            f"the gate compared version {number} with {compared}, and the champion is {now}: run the chain again to "
            f"compare them; {allowed}"
        )
    if tags.get("rolled_back_at", "") >= tags.get("promoted_at", " "):
        why = f"{tags.get('rolled_back_by')}: {tags.get('rolled_back_reason')}"
        raise UserError(f"version {number} was rolled back ({why}); {allowed}")


def _tag_promotion(client: "MlflowClient", number: int, *, over: int | None, by: str, despite: str) -> None:
    _tag(client, number, promoted_over=NOBODY if over is None else str(over), promoted_by=by, promoted_at=now())
    if despite:
        _tag(client, number, promoted_despite=despite)
    elif "promoted_despite" in _tags(client, number):
        client.delete_model_version_tag(NAME, str(number), "promoted_despite")


def _finish(
    client: "MlflowClient", number: int, *, action: Literal["promoted", "rolled_back"], moved: bool,
    left: int | None = None,
) -> Released:  # fmt: skip
    """Tells the server, takes the mark of an unfinished move away, and writes down what became of the versions."""
    _, marked = _pair(client)
    previous = _promoted_over(client, number) if marked == number else marked
    released = Released(name=NAME, version=number, previous=previous, action=action, moved=moved, left=left)
    notice.send({"event": released.event, "name": NAME, "version": number, "previous": previous})
    if previous is None and marked is not None:
        client.delete_registered_model_alias(NAME, PREVIOUS)
    elif previous != marked:
        client.set_registered_model_alias(NAME, PREVIOUS, str(previous))
    for changed in (left, number):
        if changed is not None:
            record(client, changed)
    return released


def _promoted_over(client: "MlflowClient", number: int) -> int | None:
    """The champion that a version took the place of; None for none, and for one that was deleted since."""
    over = _tags(client, number).get("promoted_over", NOBODY)
    there_are = {str(found.version) for found in client.search_model_versions(f"name='{NAME}'")}
    return int(over) if over in there_are else None


def _tags(client: "MlflowClient", number: int) -> dict[str, str]:
    return dict(client.get_model_version(NAME, str(number)).tags)


def _tag(client: "MlflowClient", number: int, **tags: str) -> None:
    for key, value in tags.items():
        client.set_model_version_tag(NAME, str(number), key, value)
