"""`fledgling doctor`: is this machine and this folder fit to run the chain, and what to do where not."""

import contextlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from tasks.stage import PARAMS_FILE, STATE, Params, UserError

State = Literal["ok", "warning", "problem"]

CONSTRAINTS = Path("constraints.txt")
DISK_NEEDED_GB = 2.0  # text, tokens, checkpoints, DVC's cache and the servers' state of the default chain
DISK_WISHED_GB = 10.0
MEMORY_NEEDED_GB = 3.0
MEMORY_WISHED_GB = 6.0
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*])?==(?P<version>[^\s;]+)")

# what in the environment changes a run, and how
VARIABLES = {
    "FLEDGLING_PREFECT_PORT": "where `make platform` serves Prefect",
    "FLEDGLING_MLFLOW_PORT": "where `make platform` serves MLflow",
    "PREFECT_API_URL": "runs go to this Prefect server, not to a local one",
    "PREFECT_HOME": "Prefect's state is there, not in var/prefect",
    "PREFECT_PROFILE": "a Prefect profile adds its own settings",
    "MLFLOW_TRACKING_URI": "models and figures go there, not to var/mlflow",
    "CUDA_VISIBLE_DEVICES": "the GPUs that torch sees",
    "OMP_NUM_THREADS": "torch's threads",
    "HF_HOME": "where the `datasets` library keeps what it fetched",
    "HF_HUB_OFFLINE": "hub sources are read from the cache only",
    "PYTHONPATH": "modules there go before the project's",
    "CXX": "the compiler of torch.compile",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at: what, how it is, and what to do (empty: nothing)."""

    what: str
    state: State
    seen: str
    advice: str = ""


def examine() -> int:
    """Prints the table of findings; returns the exit code: 1 where there is a problem, else 0."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    findings = tuple(look())
    table = Table("what", "state", "seen", "what to do", box=None, pad_edge=False)
    for found in findings:
        state = f"[{_STYLES[found.state]}]{found.state}[/]"
        table.add_row(found.what, state, escape(found.seen), escape(found.advice))
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(table)
    counts = {state: sum(found.state == state for found in findings) for state in ("problem", "warning")}
    console.print(f"\n{counts['problem']} problems, {counts['warning']} warnings")
    return 1 if counts["problem"] else 0


def look() -> Iterator[Finding]:
    """Everything that is looked at, in the order in which it is mended best."""
    for examination in EXAMINATIONS:
        yield from examination()


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == (3, 11):
        yield Finding(what="Python", state="ok", seen=version)
    else:
        advice = "the project wants Python 3.11: `rm -rf .venv && make setup PYTHON=python3.11`"
        yield Finding(what="Python", state="problem", seen=version, advice=advice)


def _packages() -> Iterator[Finding]:
    """Installed versions against constraints.txt; a package of another's extra that is missing is no mistake."""
    if not CONSTRAINTS.exists():
        advice = "run from the project's root, or make it anew: `make lock`"
        yield Finding(what="packages", state="problem", seen=f"no {CONSTRAINTS}", advice=advice)
        return
    pins = [found for line in CONSTRAINTS.read_text().splitlines() if (found := _PIN.match(line))]
    missing, other = [], []
    for pin in pins:
        try:
            installed = metadata.version(pin["name"]).split("+")[0]  # torch's "+cpu" is the same version
        except metadata.PackageNotFoundError:
            missing.append(pin["name"])
            continue
        if installed != pin["version"].split("+")[0]:
            other.append(f"{pin['name']} {installed} (locked: {pin['version']})")
    if not missing and not other:
        yield Finding(what="packages", state="ok", seen=f"{len(pins)} as in {CONSTRAINTS}")
        return
    named = [*other, *(f"{name} missing" for name in missing)]
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    state: State = "problem" if _needed(missing) else "warning"
    advice = "`rm .venv/.ready && make setup` installs what is locked"
    yield Finding(what="packages", state=state, seen=", ".join(named[:5]) + more, advice=advice)


def _needed(missing: Sequence[str]) -> bool:
    """Whether one of them is a direct dependency of the project."""
    try:
        requirements = metadata.requires("fledgling") or []
    except metadata.PackageNotFoundError:
        return True
    direct = {
        _plain(re.split(r"[\s<>=!~;\[]", found, maxsplit=1)[0]) for found in requirements if "extra ==" not in found
    }
    return bool(direct.intersection(map(_plain, missing)))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _compiler() -> Iterator[Finding]:
    wanted = os.environ.get("CXX") or "g++"
    found = shutil.which(wanted) or shutil.which("clang++")
    if found:
        yield Finding(what="C++ compiler", state="ok", seen=found)
    else:
        advice = "optional: without one training runs eager, slower (Debian: `apt-get install g++`)"
        yield Finding(what="C++ compiler", state="warning", seen=f"no {wanted}", advice=advice)


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(Path()).free / 1e9
    seen = f"{free:.1f} GB free"
    if free < DISK_NEEDED_GB:
        advice = f"the default chain needs {DISK_NEEDED_GB:.0f} GB: free some, `dvc gc --workspace` drops old outputs"
        yield Finding(what="disk", state="problem", seen=seen, advice=advice)
    elif free < DISK_WISHED_GB:
        advice = "enough for the default chain; larger text needs more"
        yield Finding(what="disk", state="warning", seen=seen, advice=advice)
    else:
        yield Finding(what="disk", state="ok", seen=seen)


def _memory() -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available / 1e9
    seen = f"{free:.1f} GB available, {os.cpu_count()} CPUs"
    if free < MEMORY_NEEDED_GB:
        advice = f"the default chain needs {MEMORY_NEEDED_GB:.0f} GB: close something"
        yield Finding(what="memory", state="problem", seen=seen, advice=advice)
    elif free < MEMORY_WISHED_GB:
        advice = "enough for the chain; together with `make platform` it may get tight"
        yield Finding(what="memory", state="warning", seen=seen, advice=advice)
    else:
        yield Finding(what="memory", state="ok", seen=seen)


def _ports() -> Iterator[Finding]:
    from fledgling import platform

    try:
        wanted = platform.ports()
    except UserError as error:
        yield Finding(what="ports", state="problem", seen=str(error), advice="set it to a free port, or unset it")
        return
    ours = platform.running() or {}
    for name, (port, variable) in wanted.named().items():
        what = f"port {port} ({name})"
        if ours.get(name.lower()) == f"http://{platform.HOST}:{port}":
            yield Finding(what=what, state="ok", seen=f"served by `fledgling platform`, process {ours['pid']}")
        elif platform.is_free(port):
            yield Finding(what=what, state="ok", seen="free")
        else:
            advice = f"only `make platform` needs it: stop the other, or set {variable}"
            yield Finding(what=what, state="warning", seen="in use by another program", advice=advice)


def _git() -> Iterator[Finding]:
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


def _dvc() -> Iterator[Finding]:
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


def _parameters() -> Iterator[Finding]:
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


def _environment() -> Iterator[Finding]:
    found = {name: what for name, what in VARIABLES.items() if os.environ.get(name)}
    if Path(sys.prefix).resolve() != Path(".venv").resolve():
        advice = "`make` uses .venv whatever is activated; `.venv/bin/fledgling doctor` looks at that one"
        yield Finding(what="environment", state="warning", seen=f"this Python is in {sys.prefix}", advice=advice)
    for name, what in found.items():
        yield Finding(what=name, state="ok", seen=f"set: {what}")


def _device() -> Iterator[Finding]:
    """The GPU, asked of its driver and not of torch (whose import takes longer than everything here)."""
    if shutil.which("nvidia-smi") is None:
        yield Finding(what="GPU", state="ok", seen="none; the default chain needs none")
        return
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5)
        seen = "; ".join(done.stdout.split("\n")).strip("; ") or "the driver names none"
        yield Finding(what="GPU", state="ok", seen=seen)


def _state() -> Iterator[Finding]:
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


EXAMINATIONS: Sequence[Callable[[], Iterator[Finding]]] = (
    *(_python, _packages, _compiler, _device, _disk, _memory, _state, _ports, _git, _dvc, _parameters, _environment),
)
