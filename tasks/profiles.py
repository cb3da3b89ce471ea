"""Profiles: overlays over params.yaml, written into it as `dvc exp run -S` would."""

from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from tasks.stage import PARAMS_FILE, UserError, read_yaml, write_text

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
    overlay, document = read_yaml(path), read_yaml(params_file)
    changed = []
    for keys, value in leaves(overlay):
        owner = document
        for key in keys[:-1]:
            owner = owner.get(key) if isinstance(owner, Mapping) else None
        if not isinstance(owner, Mapping) or keys[-1] not in owner:
            raise UserError(f"{path}: unknown key '{'.'.join(keys)}'; {params_file} has no such key to overlay")
        if owner[keys[-1]] != value:
            owner[keys[-1]] = value  # type: ignore[index]
            changed.append(".".join(keys))
    if changed:
        write_text(params_file, _as_text(document))
    return changed


def leaves(overlay: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each key of an overlay, as the path to it, with its value; a list is a value."""
    for key, value in overlay.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _as_text(document: Any) -> str:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
