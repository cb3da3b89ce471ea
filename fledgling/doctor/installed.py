"""What is installed: the interpreter and the locked packages, and what else in the environment has a say."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from fledgling.doctor.finding import Finding, State

CONSTRAINTS = Path("constraints.txt")
OPTIONAL = (
    "llama-cpp-python",  # `make llama-cpp` installs it
    *("aiobotocore", "aioitertools", "boto3", "botocore", "dvc-s3", "jmespath", "s3fs", "s3transfer"),  # the extra s3
)
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


def python() -> Iterator[Finding]:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == (3, 11):
        yield Finding(what="Python", state="ok", seen=version)
    else:
        advice = "the project wants Python 3.11: `rm -rf .venv && make setup PYTHON=python3.11`"
        yield Finding(what="Python", state="problem", seen=version, advice=advice)


def packages() -> Iterator[Finding]:
    """Installed versions against constraints.txt; an optional one that is missing is no mistake."""
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
            if _plain(pin["name"]) not in OPTIONAL:
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


def environment() -> Iterator[Finding]:
    """What in the environment changes a run, and how."""
    found = {name: what for name, what in VARIABLES.items() if os.environ.get(name)}
    if Path(sys.prefix).resolve() != Path(".venv").resolve():
        advice = "`make` uses .venv whatever is activated; `.venv/bin/fledgling doctor` looks at that one"
        yield Finding(what="environment", state="warning", seen=f"this Python is in {sys.prefix}", advice=advice)
    for name, what in found.items():
        yield Finding(what=name, state="ok", seen=f"set: {what}")
