"""The machine: compiler, GPU and what serves best on it, disk, memory, ports."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib import util
from pathlib import Path

from fledgling.doctor.finding import Finding
from tasks.stage import UserError

DISK_NEEDED_GB = 2.0  # text, tokens, checkpoints, DVC's cache and the servers' state of the default chain
DISK_WISHED_GB = 10.0
MEMORY_NEEDED_GB = 3.0
MEMORY_WISHED_GB = 6.0
SOONER = "optional: on a CPU llama.cpp is faster, a few replies at a time"


def compiler() -> Iterator[Finding]:
    """What torch.compile needs."""
    wanted = os.environ.get("CXX") or "g++"
    found = shutil.which(wanted) or shutil.which("clang++")
    if found:
        yield Finding(what="C++ compiler", state="ok", seen=found)
    else:
        advice = "optional: without one training runs eager, slower (Debian: `apt-get install g++`)"
        yield Finding(what="C++ compiler", state="warning", seen=f"no {wanted}", advice=advice)


def device() -> Iterator[Finding]:
    """The GPU, asked of its driver and not of torch (whose import takes longer than everything here)."""
    if not _has_gpu():
        yield Finding(what="GPU", state="ok", seen="none; the default chain needs none")
        return
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5)
        seen = "; ".join(done.stdout.split("\n")).strip("; ") or "the driver names none"
        yield Finding(what="GPU", state="ok", seen=seen)


def engine() -> Iterator[Finding]:
    """What `fledgling serve` computes with, and what does it sooner: on a CPU llama.cpp, a few replies at a time."""
    from tasks.serving.params import ServeParams
    from tasks.stage import load_params

    try:
        chosen = load_params(ServeParams, "serve").engine
    except UserError as error:
        yield Finding(what="serving", state="problem", seen=str(error), advice="mend the line")
        return
    is_there = _has_llama_cpp()
    seen = f"engine {chosen}; llama-cpp-python {'installed' if is_there else 'not installed'}"
    if chosen == "llama.cpp" and not is_there:
        advice = "`make llama-cpp` builds it (some minutes); else serve.engine: torch in params.yaml"
        yield Finding(what="serving", state="problem", seen=seen, advice=advice)
        return
    build = "" if is_there else "`make llama-cpp`, then "
    advice = "" if chosen == "llama.cpp" or _has_gpu() else f"{SOONER}: {build}serve.engine: llama.cpp in params.yaml"
    yield Finding(what="serving", state="ok", seen=seen, advice=advice)


def disk() -> Iterator[Finding]:
    """Room for the chain's files."""
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


def memory() -> Iterator[Finding]:
    """Room for the chain's processes."""
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


def ports() -> Iterator[Finding]:
    """Where the platform would serve."""
    from fledgling.platform import addresses

    try:
        wanted = addresses.ports()
    except UserError as error:
        yield Finding(what="ports", state="problem", seen=str(error), advice="set it to a free port, or unset it")
        return
    ours = addresses.running() or {}
    for name, (port, variable) in wanted.named().items():
        what = f"port {port} ({name})"
        if ours.get(name.lower()) == f"http://{addresses.HOST}:{port}":
            yield Finding(what=what, state="ok", seen=f"served by `fledgling platform`, process {ours['pid']}")
        elif addresses.is_free(port):
            yield Finding(what=what, state="ok", seen="free")
        else:
            advice = f"only `make platform` needs it: stop the other, or set {variable}"
            yield Finding(what=what, state="warning", seen="in use by another program", advice=advice)


def _has_gpu() -> bool:
    """Whether a driver is there; torch's import would take longer than everything here."""
    return shutil.which("nvidia-smi") is not None


def _has_llama_cpp() -> bool:
    return util.find_spec("llama_cpp") is not None
