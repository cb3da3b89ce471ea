"""The folder: git, DVC and its graph, every stage's parameters, the state in var/."""

import contextlib
import importlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fledgling.doctor.finding import Finding
from tasks.stage import PARAMS_FILE, STATE, Params, UserError


def state() -> Iterator[Finding]:
    """Can state be written, and what is there already?"""
    try:
        STATE.mkdir(exist_ok=True)
        probe = STATE / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        yield Finding(what="var/", state="problem", seen=str(error), advice="the chain keeps its state there")
        return
    registered = STATE / "registered.json"
    seen = "writable; no model registered yet"
    with contextlib.suppress(OSError, ValueError, KeyError):
        found: dict[str, Any] = json.loads(registered.read_text(encoding="utf-8"))
        seen = f"writable; {found['name']} version {found['version']} registered"
    yield Finding(what="var/", state="ok", seen=seen)


def git() -> Iterator[Finding]:
    """What a model can be bound to."""
    from tasks import workspace

    if shutil.which("git") is None:
        advice = "the chain runs, models are bound to no commit (Debian: `apt-get install git`)"
        yield Finding(what="git", state="warning", seen="not installed", advice=advice)
    elif not workspace.uses_git():
        advice = "the chain runs, models are bound to no commit: `git init`, then commit"
        yield Finding(what="git", state="warning", seen="no repository here", advice=advice)
    elif (commit := workspace.commit()) is None:
        advice = "`git add -A && git commit`: models are bound to a commit"
        yield Finding(what="git", state="warning", seen="a repository without a commit", advice=advice)
    elif workspace.is_dirty():
        advice = "commit them, else the model carries the tag 'dirty'"
        yield Finding(what="git", state="warning", seen=f"{commit[:10]}, uncommitted changes", advice=advice)
    else:
        yield Finding(what="git", state="ok", seen=commit[:10])


def dvc() -> Iterator[Finding]:
    """The graph, and what of it is stale."""
    from tasks import workspace

    if not Path(".dvc").is_dir():
        how = "`dvc init`" if workspace.uses_git() else "`dvc init --no-scm`"
        yield Finding(what="DVC", state="problem", seen="not initialised here (no .dvc)", advice=how)
        return
    from flows.graph import read_chain

    try:
        chain = read_chain()
    except UserError as error:
        seen = str(error).removesuffix("; `fledgling doctor` says what to do")
        yield Finding(what="DVC", state="problem", seen=seen, advice=_mending(seen))
        return
    except Exception as error:  # DVC raises what its parsers raise
        seen = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no more is known'}"
        yield Finding(what="DVC", state="problem", seen=seen, advice="mend dvc.yaml; `dvc status` says more")
        return
    stale = [name for name in chain.names if name in chain.stale]
    if stale:
        seen = f"{len(stale)} of {len(chain.names)} stages stale: {', '.join(stale)}"
        yield Finding(what="DVC", state="ok", seen=seen, advice="`make pipeline` runs them")
    else:
        yield Finding(what="DVC", state="ok", seen=f"{len(chain.names)} stages, none stale")


def _mending(seen: str) -> str:
    """What helps with DVC's own complaint."""
    if "SCM" in seen or "git" in seen.lower():
        return "git is gone from here: `dvc config --local core.no_scm true`, or `git init`"
    if "lock" in seen.lower():
        return "another DVC command runs; wait for it, or remove .dvc/tmp/lock where none does"
    return "mend dvc.yaml; `dvc status` says more"


def parameters() -> Iterator[Finding]:
    """Every stage's section of params.yaml, read as the stage itself will read it."""
    mistakes, good = [], 0
    try:
        stages = _stage_names()
        for name in stages:
            mistake = _mistake_in(name)
            mistakes += [mistake] if mistake else []
            good += not mistake
    except UserError as error:
        mistakes.append(str(error))
    for mistake in mistakes:
        yield Finding(what=str(PARAMS_FILE), state="problem", seen=mistake, advice="mend the line")
    if not mistakes:
        yield Finding(what=str(PARAMS_FILE), state="ok", seen=f"valid for {good} stages")


def _stage_names() -> list[str]:
    from tasks.stage import read_yaml

    return list(read_yaml(Path("dvc.yaml")).get("stages", {}))


def _mistake_in(stage: str) -> str | None:
    from tasks.stage import load_params

    try:
        module = importlib.import_module(f"tasks.{stage}")
    except ModuleNotFoundError as error:
        return f"stage '{stage}': {error}"
    kinds = [
        kind
        for name, kind in vars(module).items()
        if name.lower() == f"{stage}params" and isinstance(kind, type) and issubclass(kind, Params)
    ]
    try:
        for kind in kinds:
            load_params(kind, stage)
    except UserError as error:
        return str(error)
    return None if kinds else f"tasks/{stage}.py holds no {stage.capitalize()}Params"
