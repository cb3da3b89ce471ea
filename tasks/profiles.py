"""Profiles: overlays over params.yaml, written into it as `dvc exp run -S` would."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.stage import PARAMS_FILE, UserError, read_yaml

FOLDER = Path("profiles")


def names() -> list[str]:
    """The profiles there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def apply(name: str, *, params_file: Path = PARAMS_FILE) -> list[str]:
    """Writes a profile's values into the parameter file, comments kept; returns the keys that changed.

    Every profile names the same keys, so that going from one to another leaves nothing of the first.
    Raises UserError for a profile that does not exist or names a key that params.yaml has not.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.exists():
        raise UserError(f"there is no profile '{name}'; there is {', '.join(names())}")
    from dvc.utils.serialize import modify_yaml

    overlay, document = read_yaml(path), read_yaml(params_file)
    changed = {keys: value for keys, value in leaves(overlay) if _look_up(document, keys, path, params_file) != value}
    if changed:
        with modify_yaml(params_file) as values:  # as `dvc exp run -S` writes
            for keys, value in changed.items():
                _set(values, keys, value)
    return [".".join(keys) for keys in changed]


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
