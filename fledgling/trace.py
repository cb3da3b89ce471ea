"""`fledgling trace`: where a version, a batch of reviews or a reply comes from, and whether its hashes still hold."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.stage import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from rich.console import Console

    from tasks.provenance.way import Check, Way

STYLES = {"ok": "green", "missing": "yellow", "differs": "bold red"}
WIDTH = 160  # columns where the output is no terminal


def trace(name: str, *, as_json: bool, verify: bool, page: Path | None) -> int:
    """Prints the way of a version (its number or an alias), of a batch or of a reply (its id); returns the exit code.

    verify: recomputes the hashes instead, 1 where one differs. page: a file for the same as HTML. Raises UserError
    where there is no such version or batch.
    """
    from tasks.registry.versions import in_one_line

    with in_one_line():
        client, way = find(name)
        if page is not None:
            _write(page, way)
        if verify:
            return _verify(client, way, as_json=as_json)
    if as_json:
        print(way.model_dump_json(indent=2))
    else:
        from tasks.provenance.told import tree

        _console().print(tree(way))
    return 0


def find(name: str) -> "tuple[MlflowClient | None, Way]":
    """The way of a version, else of the batch of that name; and the registry, where there is one."""
    from tasks.provenance.batch import trace_batch
    from tasks.provenance.batches import names
    from tasks.provenance.reply import is_reply, trace_reply
    from tasks.provenance.version import trace_version
    from tasks.registry.versions import number_of, registry

    if is_reply(name):
        found = None
        with suppress(UserError):  # told as what was not found
            found = registry()
        return found, trace_reply(found, name)
    batches = names()
    try:
        client = registry()
    except UserError:
        if name not in batches:
            raise
        return None, trace_batch(None, name)
    if name in batches:
        return client, trace_batch(client, name)
    try:
        return client, trace_version(client, number_of(client, name))
    except UserError as error:
        raise UserError(f"{error}; batches: {', '.join(batches) or 'none'}") from None


def _console() -> "Console":
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def _write(path: Path, way: "Way") -> None:
    from tasks.provenance.page import write_page
    from tasks.provenance.way import ReplyWay

    if isinstance(way, ReplyWay):
        raise UserError(f"--page is of a version or a batch; `fledgling trace {way.reply.version} --page {path}`")
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"--page {path}: not a file that can be written")
    write_page(path, way)


def _verify(client: "MlflowClient | None", way: "Way", *, as_json: bool) -> int:
    """Prints a line for each hash; returns 1 where one differs."""
    checks = _checks(client, way)
    if as_json:
        print(json.dumps([check.model_dump() for check in checks], ensure_ascii=False, indent=2))
    else:
        _print_checks(checks)
    return int(any(check.state == "differs" for check in checks))


def _checks(client: "MlflowClient | None", way: "Way") -> "list[Check]":
    from tasks.provenance.reply import verify_reply
    from tasks.provenance.verify import verify_files, verify_version
    from tasks.provenance.way import BatchWay, ReplyWay

    if isinstance(way, BatchWay):
        return list(verify_files(way.files))
    of_reply = [verify_reply(way)] if isinstance(way, ReplyWay) else []
    version = way.version if isinstance(way, ReplyWay) else way
    if version is None:
        return of_reply
    if client is None:  # a version is found by the registry alone
        raise UserError("there is no registry")
    return [*of_reply, *verify_version(client, version)]


def _print_checks(checks: "list[Check]") -> None:
    from collections import Counter

    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for check in checks:
        table.add_row(f"[{STYLES[check.state]}]{check.state}[/]", escape(check.what), escape(check.detail))
    found = Counter(check.state for check in checks)
    _console().print(table)
    _console().print(f"\n{found['ok']} ok, {found['missing']} missing, {found['differs']} differ")
