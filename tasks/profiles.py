"""Profiles: overlays over params.yaml, written into it as `dvc exp run -S` would.

A profile may be `like` another one and say only what differs; `{data}` in its texts is a folder that the user names.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.stage import PARAMS_FILE, UserError, read_yaml

FOLDER = Path("profiles")
DATA = "{data}"


def names() -> list[str]:
    """The profiles there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def apply(name: str, *, data: Path | None = None, params_file: Path = PARAMS_FILE) -> list[str]:
    """Writes a profile's values into the parameter file, comments kept; returns the keys that changed.

    Every profile names the same keys, so that going from one to another leaves nothing of the first. data: the
    folder that `{data}` stands for. Raises UserError for a profile that does not exist, names a key that params.yaml
    has not, or wants a folder that is not given.
    """
    from dvc.utils.serialize import modify_yaml

    path = FOLDER / f"{name}.yaml"
    values = {keys: _with_data(value, data, path) for keys, value in leaves(overlay(name))}
    if data is not None and not any(DATA in str(value) for _, value in leaves(overlay(name))):
        raise UserError(f"{path} reads no folder of data; leave --data (DATA=) out")
    document = read_yaml(params_file)
    changed = {keys: value for keys, value in values.items() if _look_up(document, keys, path, params_file) != value}
    if changed:
        with modify_yaml(params_file) as written:  # as `dvc exp run -S` writes
            for keys, value in changed.items():
                _set(written, keys, value)
    return [".".join(keys) for keys in changed]


def overlay(name: str) -> dict[str, Any]:
    """A profile's values over those of the profile that it is like. Raises UserError where there is no such profile."""
    path = FOLDER / f"{name}.yaml"
    if not path.exists():
        raise UserError(f"there is no profile '{name}'; there is {', '.join(names())}")
    own = dict(read_yaml(path))
    like = own.pop("like", None)
    return own if like is None else _merged(overlay(str(like)), own)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = _merged(found[key], value) if both else value
    return found


def _with_data(value: Any, data: Path | None, profile: Path) -> Any:
    """The value with the user's folder in place of `{data}`."""
    if isinstance(value, Mapping):
        return {key: _with_data(item, data, profile) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_data(item, data, profile) for item in value]
    if not isinstance(value, str) or DATA not in value:
        return value
    if data is None:
        raise UserError(f"{profile} reads a folder of yours; name it by --data FOLDER (make: DATA=FOLDER)")
    if not data.is_dir():
        raise UserError(f"--data {data}: there is no such folder")
    return value.replace(DATA, data.as_posix())


def _look_up(document: Any, keys: tuple[str, ...], overlay: Path, params_file: Path) -> Any:
    for key in keys:
        if not isinstance(document, Mapping) or key not in document:
            raise UserError(f"{overlay}: unknown key '{'.'.join(keys)}'; {params_file} has no such key to overlay")
        document = document[key]
    return document


def _set(document: Any, keys: tuple[str, ...], value: Any) -> None:
    for key in keys[:-1]:
        document = document[key]
    document[keys[-1]] = value


def leaves(overlay: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each key of an overlay, as the path to it, with its value; a list is a value."""
    for key, value in overlay.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value
