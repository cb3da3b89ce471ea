"""What a person is asked before a release, and the answer no: the evidence of a version, as Markdown."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.registry.gated import FOLDER, TOLD
from tasks.registry.versions import CANDIDATE, CHAMPION, NAME, aliases, in_one_line, now, number_of, registry
from tasks.stage import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, kw_only=True)
class Question:
    """Shall this version become the champion? evidence: Markdown."""

    version: int
    evidence: str


def version_meant(version: str | None) -> int:
    """The number of a version or alias; None: of the alias `candidate`. Raises UserError where there is none."""
    with in_one_line():
        return number_of(registry(), version or CANDIDATE)


def champion_now() -> int | None:
    """The version of the alias `champion`, None where there is none."""
    with in_one_line():
        return aliases(registry()).get(CHAMPION)


def question(version: int) -> Question:
    """What a person is shown of a version. Raises UserError where the gate does not speak for it."""
    with in_one_line():
        client = registry()
        found = client.get_model_version(NAME, str(version))
        decision = found.tags.get("gate_decision", "nothing")
        if decision != "promote":
            raise UserError(
                f"the gate says '{decision}' of version {version}, which nobody is asked to approve; "
                f"`fledgling promote {version} --despite REASON` does it all the same"
            )
        champion = aliases(client).get(CHAMPION)
        return Question(version=version, evidence=_evidence(client, found, champion=champion))


def decline(version: int, *, by: str, comment: str = "") -> None:
    """Keeps on the version who declined it, and why; no alias moves."""
    with in_one_line():
        client = registry()
        told = {"gate_declined_by": by, "gate_declined_comment": comment or "none", "gate_declined_at": now()}
        for key, value in told.items():
            client.set_model_version_tag(NAME, str(version), key, value)


def _evidence(client: "MlflowClient", version: Any, *, champion: int | None) -> str:
    now = f"version {champion}" if champion is not None else "none yet, base took its place"
    shown = {key: version.tags.get(key, "none") for key in ("model", "git_commit", "dvc_lock_hash", "dvc_exp_commit")}
    lines = [
        f"# Shall {NAME} version {version.version} become the champion?",
        f"The champion is {now}. Approved, the aliases `champion` and `previous_champion` move; `fledgling rollback` "
        "moves them back.",
        "\n".join(f"- {key}: `{value}`" for key, value in shown.items()),
        re.sub(r"^#", "##", _gate_page(client, version), flags=re.MULTILINE).strip(),
    ]
    return "\n\n".join(lines) + "\n"


def _gate_page(client: "MlflowClient", version: Any) -> str:
    """The gate's page, from the version's run: the folder may have gone on since."""
    with tempfile.TemporaryDirectory(prefix="fledgling-") as scratch:
        path = client.download_artifacts(version.run_id, f"{FOLDER}/{TOLD.name}", scratch)
        return Path(path).read_text(encoding="utf-8")
