"""`make audit`: what pip-audit reports, and what is made of it."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fledgling.audit import Waiver, findings, read_waivers
from tests.conftest import ROOT, refused

TODAY = date(2026, 11, 22)
KNOWN = {"id": "PYSEC-1", "aliases": ["GHSA-a"], "fix_versions": ["2.0"], "description": "x"}
FINE = {"name": "numpy", "version": "2.4.6", "vulns": []}
BAD = {"name": "Flask", "version": "1.0", "vulns": [KNOWN]}


def waiver(**changes: Any) -> Waiver:
    return Waiver.model_validate({"package": "flask", "id": "GHSA-a", "until": "2026-12-31", "why": "x", **changes})


def told(*dependencies: Any, waivers: tuple[Waiver, ...] = ()) -> list[str]:
    return list(findings({"dependencies": list(dependencies)}, waivers, today=TODAY))


def test_what_is_known_is_a_line_with_what_mends_it() -> None:
    assert told(FINE) == []
    assert told(FINE, BAD) == ["Flask 1.0: PYSEC-1 (mended in 2.0)"]


def test_a_waiver_holds_by_any_of_its_names_until_its_day() -> None:
    assert told(FINE, BAD, waivers=(waiver(),)) == []
    assert told(FINE, BAD, waivers=(waiver(until="2026-11-22"),)) == []
    (ended,) = told(FINE, BAD, waivers=(waiver(until="2026-11-21"),))
    assert "ended on 2026-11-21" in ended


def test_a_waiver_of_nothing_is_wrong() -> None:
    (line,) = told(FINE, waivers=(waiver(),))
    assert "not there any more" in line


def test_what_was_skipped_fails() -> None:
    skipped = {"name": "torch", "skip_reason": "not found on PyPI"}
    assert told(FINE, skipped) == ["1 of 2 packages were not looked up: torch"]
    assert told() == ["0 of 0 packages were not looked up: none was there"]


def test_the_waivers_of_the_project_can_be_read() -> None:
    assert all(one.why for one in read_waivers(ROOT / ".ci" / "audit-waivers.yaml"))


@pytest.mark.parametrize("text", ["- {package: a}", "a: b", "[", "- {package: a, id: b, until: soon, why: c}"])
def test_a_broken_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(text)
    with refused("waivers.yaml.*allowed"):
        read_waivers(path)
