"""What every stage shares: its parameters, its command line, its timings, its one line on bad input."""

import argparse
import contextlib
import errno
import inspect
import json
import logging
import os
import re
import resource
import signal
import sys
import time
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.telemetry import OFF

PARAMS_FILE = Path("params.yaml")
STATE = Path("var")  # git-ignored: timings, checkpoints, compile cache, server state

_EXTRA_TIMINGS: dict[str, float] = {}
_ENVIRONMENT_REFERENCE = re.compile(r"\$\{(?P<name>[A-Z][A-Z0-9_]*)(?::-(?P<default>[^}]*))?\}")

P = TypeVar("P", bound="Params")
Metric = float | int | str | None


class UserError(Exception):
    """Something the user can mend; its text is one line: what was wrong, what is allowed, where."""


class Params(BaseModel):
    """Base of every stage's parameters: frozen, nothing unknown, no type guessed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Excerpt(Params):
    """What a stage reads of another one's section, whose other keys it does not know."""

    model_config = ConfigDict(extra="ignore")


def load_params(kind: type[P], section: str, *, file: Path = PARAMS_FILE) -> P:
    """The section of the parameter file as `kind`.

    `${NAME}` and `${NAME:-default}` in a value are taken from the environment (secrets, addresses, the
    device). Raises UserError naming the file, the line and the key.
    """
    document = _read_quickly(file)
    if section not in document:
        raise UserError(f"{file}: there is no section '{section}'; it holds {', '.join(map(str, document))}")
    values = document[section]
    if not isinstance(values, Mapping):
        line = _line_of(read_yaml(file), [section])
        raise UserError(f"{file}:{line}: '{section}' must hold keys: {', '.join(kind.model_fields)}")
    filled = _from_environment(values, where=f"{file}: {section}")
    try:
        return kind.model_validate_json(json.dumps(filled, default=str))  # str: YAML makes dates of 2026-01-01
    except ValidationError as error:
        values = read_yaml(file)[section]
        raise UserError(_mistake_in_params(error, kind, file=file, section=section, values=values)) from None


def _read_quickly(file: Path) -> Any:
    """What `read_yaml` reads, without the lines: .02 s for the project's parameters, not .1."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    except (OSError, YAMLError, UnicodeDecodeError):
        document = None
    return document if isinstance(document, Mapping) else read_yaml(file)  # which says what is wrong


def read_yaml(file: Path) -> Any:
    """A YAML mapping with the line of each key (ruamel). Raises UserError where it can't be read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        yaml = YAML(typ="rt")
        yaml.preserve_quotes = True
        document = yaml.load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; run from the project's root") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise UserError(f"{file}:{line}: not valid YAML: {error.problem}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not a text file of YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(document, Mapping):
        raise UserError(f"{file}: expected a mapping of sections")
    return document


def _from_environment(value: Any, *, where: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _from_environment(item, where=f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_from_environment(item, where=where) for item in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        found = os.environ.get(match["name"]) or match["default"]
        if found is None:
            raise UserError(f"{where}: the environment variable {match['name']} is not set")
        return found

    return _ENVIRONMENT_REFERENCE.sub(fill, value)


def mistake_in(error: ValidationError) -> str:
    """The first of a check's mistakes in one line: where in the value, and what."""
    mistake = error.errors(include_url=False)[0]
    place = ".".join(map(str, mistake["loc"]))
    message = " ".join(mistake["msg"].removeprefix("Value error, ").split())
    return f"{place}: {message}" if place else message


def _mistake_in_params(error: ValidationError, kind: type[BaseModel], *, file: Path, section: str, values: Any) -> str:
    mistakes = error.errors()
    mistake = next((found for found in mistakes if found["type"] == "extra_forbidden"), mistakes[0])
    location = _keys_in(values, mistake["loc"])
    line = _line_of(values, location)
    key = ".".join([section, *map(str, location)])
    if mistake["type"] == "extra_forbidden":
        return f"{file}:{line}: unknown key '{key}'; allowed here: {_allowed(kind, mistake['loc'])}"
    if mistake["type"] in ("missing", "union_tag_not_found"):
        missing = mistake.get("ctx", {}).get("discriminator", "").strip("'")
        return f"{file}:{line}: '{key}{'.' if missing else ''}{missing}' is missing"
    if mistake["type"] == "union_tag_invalid":
        tags = mistake["ctx"]
        return f"{file}:{line}: '{key}.kind' is '{tags['tag']}'; allowed: {tags['expected_tags']}"
    got = f"; got {mistake['input']!r}" if not isinstance(mistake["input"], Mapping | list) else ""
    message = mistake["msg"].removeprefix("Value error, ")
    return f"{file}:{line}: '{key}': {message[:1].lower()}{message[1:]}{got}"


def _keys_in(values: Any, location: Sequence[Any]) -> list[Any]:
    """The parts of a pydantic error's location that are keys of the file; the rest are names of types."""
    keys: list[Any] = []
    for part in location:
        last = part is location[-1]
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            if not last:
                continue
        keys.append(part)
    return keys


def _line_of(values: Any, location: Sequence[Any]) -> int:
    line: int = values.lc.line
    for part in location:
        try:
            marks = values.lc
            position = marks.key(part) if isinstance(values, Mapping) else marks.item(part)
            line = position[0] + 1
            values = values[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def _allowed(kind: Any, location: Sequence[Any]) -> str:
    """The fields that the model at a location of a pydantic error knows."""
    models: list[type[BaseModel]] = []
    for part in location[:-1]:
        fields = getattr(kind, "model_fields", {})
        if part in fields:
            models = _models_in(fields[part].annotation, *fields[part].metadata)
        else:  # an index or the tag of a union
            models = [found for found in models if not isinstance(part, str) or _has_tag(found, part)]
        kind = models[0] if models else kind
    return ", ".join(kind.model_fields)


def _has_tag(model: type[BaseModel], tag: str) -> bool:
    return any(tag in typing.get_args(field.annotation) for field in model.model_fields.values())


def _models_in(*annotations: Any) -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []
    for annotation in annotations:
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            found.append(annotation)
        else:
            found += _models_in(*typing.get_args(annotation))
    return found


def timings(**figures: float) -> None:
    """Adds figures (unit in the name) to the stage's timings; they never become a DVC out."""
    _EXTRA_TIMINGS.update(figures)


def metric_key(name: str) -> str:
    """A name (of a source, a judge, a phenomenon) as part of a figure's snake_case key."""
    return "".join(letter if letter.isalnum() else "_" for letter in name.lower())


def write_metrics(path: Path, metrics: Mapping[str, Metric | Sequence[str]]) -> None:
    """Writes a flat metrics file: sorted keys, floats to 6 significant digits, the same bytes each time."""
    rounded = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in metrics.items()}
    write_text(path, json.dumps(rounded, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def main(stage: Callable[..., None]) -> None:
    """Runs a stage from the command line: `python -m tasks.NAME --INPUT PATH ... --OUTPUT PATH ...`.

    The options are the stage's own keyword arguments; its parameters are the section of its name.
    """
    with process(stage.__name__):
        params, paths = _arguments(stage)
        stage(params, **paths)


@contextlib.contextmanager
def process(name: str) -> Iterator[None]:
    """The life of a process: its log lines, its timings, one line and exit code 1 where the user can mend it."""
    _set_up_process(name)
    try:
        yield
        _write_timings(name)
    except UserError as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        sys.exit(f"{name}: the disk is full{where}; free some space and run again, nothing before this stage is lost")
    except KeyboardInterrupt:
        sys.exit(130)


def _set_up_process(name: str) -> None:
    """Our own log lines on standard output, other libraries' only from warnings up; nothing phones home."""
    os.environ.update(OFF)
    os.environ.setdefault("HF_HOME", str(STATE.absolute() / "huggingface"))  # not in the home folder
    logging.basicConfig(level=logging.WARNING, format=f"{name} | %(message)s", stream=sys.stdout)
    for ours in ("__main__", "model", "tasks"):
        logging.getLogger(ours).setLevel(logging.INFO)
    end_with_parent()


def end_with_parent() -> None:
    """Asks Linux to end this process when the one that started it ends, even by `kill -9`."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG


def _arguments(stage: Callable[..., None]) -> tuple[Params, dict[str, Path | list[Path]]]:
    hints = typing.get_type_hints(stage)
    first, *names = inspect.signature(stage).parameters
    parser = argparse.ArgumentParser(
        prog=f"python -m tasks.{stage.__name__}", description=(stage.__doc__ or "").strip().split("\n")[0]
    )
    parser.add_argument("--params", type=Path, default=PARAMS_FILE, help="the parameter file")
    for name in names:
        many = typing.get_origin(hints[name]) is not None
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, nargs="+" if many else None)
    arguments = vars(parser.parse_args())
    params = load_params(hints[first], stage.__name__, file=arguments.pop("params"))
    return params, arguments


def _write_timings(name: str) -> None:
    figures = {"seconds": time.time() - _process_start(), "peak_rss_mib": _peak_rss_mib(), **_EXTRA_TIMINGS}
    write_metrics(STATE / "timings" / f"{name}.json", {k: round(v, 3) for k, v in figures.items()})


def _process_start() -> float:
    import psutil

    return float(psutil.Process().create_time())


def _peak_rss_mib() -> float:
    """The highest resident memory of this process or of one of its children, in MiB."""
    return max(_own_peak_kib(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def _own_peak_kib() -> int:
    """Linux's VmHWM, since ru_maxrss begins with the memory of the process that started this one."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
