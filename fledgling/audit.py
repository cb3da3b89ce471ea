"""`make audit`: the locked packages against the advisories that are published, with waivers that end on a day."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.stage import UserError

LOCK, WAIVERS = Path("constraints.txt"), Path(".ci/audit-waivers.yaml")


class Waiver(BaseModel):
    """An advisory that is known and waits. until: the last day on which it may."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    package: str
    id: str
    until: date
    why: str


def read_waivers(path: Path = WAIVERS) -> list[Waiver]:
    """The waivers. Raises UserError for a file that holds anything else."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or []
        return [Waiver.model_validate(one) for one in found]
    except (OSError, yaml.YAMLError, ValidationError, TypeError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}; allowed: a list of package, id, until, why") from None


def findings(report: Any, waivers: Sequence[Waiver], *, today: date) -> Iterator[str]:
    """A line for each thing that is wrong. report: what `pip-audit --format json` printed."""
    audited = report["dependencies"]
    skipped = [found["name"] for found in audited if "skip_reason" in found]
    if skipped or not audited:
        named = ", ".join(skipped[:5]) or "none was there"
        yield f"{len(skipped)} of {len(audited)} packages were not looked up: {named}"
    found = {(one["name"].lower(), known) for one in audited for known in _names(one)}
    for waiver in waivers:
        if waiver.until < today:
            yield f"{waiver.package} {waiver.id}: its waiver ended on {waiver.until}"
        elif not skipped and (waiver.package.lower(), waiver.id) not in found:
            yield f"{waiver.package} {waiver.id}: is waived and not there any more; remove it from {WAIVERS}"
    waived = {(waiver.package.lower(), waiver.id) for waiver in waivers}
    for one in audited:
        for advisory in one.get("vulns", ()):
            names = {(one["name"].lower(), name) for name in (advisory["id"], *advisory.get("aliases", ()))}
            if not names & waived:
                mended = ", ".join(advisory.get("fix_versions", ())) or "no version yet"
                yield f"{one['name']} {one['version']}: {advisory['id']} (mended in {mended})"


def _names(dependency: Any) -> Iterator[str]:
    for advisory in dependency.get("vulns", ()):
        yield from (advisory["id"], *advisory.get("aliases", ()))


def ask() -> Any:
    """What pip-audit says of the lock. Raises UserError where it says nothing: its service may be out of reach."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--no-deps", "--disable-pip"]
    done = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise UserError(f"pip-audit: {last[:300]}; nothing was audited") from None


def main() -> None:
    """Prints what is wrong, a line each; exit 1 where anything is."""
    try:
        waivers = read_waivers()
        report = ask()
        wrong = list(findings(report, waivers, today=date.today()))
    except UserError as error:
        sys.exit(f"audit: {error}")
    for line in wrong:
        print(line)
    if wrong:
        sys.exit(f"audit: {len(wrong)} findings")
    print(f"audit: {len(report['dependencies'])} packages, {len(waivers)} waived, nothing else known")


if __name__ == "__main__":
    main()
