"""What is told of a model that leaves: the card, licences and figures of the registry's version or of the workspace."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks import report, workspace
from tasks.exporting.source import Source, Told, read_source
from tasks.registry.versions import NAME

CARD = "model_card.md"  # the artifact of a version's run
FIGURES = "evaluate/"  # before the figures on a version's run
LICENCES, NONE = "licences", "none"  # the tag of a version, and its value where nothing was known


def described(folder: Path, *, version: str | None) -> Source:
    """A model folder with what there is to say of it; version: a number or an alias, None: the workspace's."""
    if version is not None:
        return read_source(folder, name=NAME, told=_of_version(version))
    if folder not in workspace.MODELS:
        return read_source(folder, name=NAME, told=Told())
    metrics = report.read_json(report.METRICS / "evaluate.json")
    told = Told(card=_card(folder, metrics), licences=_licences(), figures=_kept(metrics, folder.name))
    return read_source(folder, name=f"{NAME}-{folder.name}", told=told)


def _card(folder: Path, metrics: Mapping[str, Any]) -> str:
    """The card of a workspace's model, as `register` would write it now."""
    from tasks.register import judge
    from tasks.registry.card import model_card
    from tasks.registry.evidence import Lock

    lock = Lock()
    ties = {"model_md5": lock.outs.get(str(folder), "not in dvc.lock"), "git_commit": workspace.commit() or "none"}
    return model_card(model=folder, name=NAME, lock=lock, ties=ties, verdict=f"{judge(metrics, folder.name).reason}.")


def _licences() -> tuple[str, ...]:
    from tasks.registry.card import sources_of

    return tuple(sorted({licence for _, licence in sources_of()}))


def _of_version(version: str) -> Told:
    """Card, licences and figures as they were registered."""
    from mlflow.artifacts import download_artifacts

    from tasks.registry.versions import in_one_line, number_of, registry

    client = registry()
    with in_one_line():
        found = client.get_model_version(NAME, str(number_of(client, version)))
        run = client.get_run(found.run_id)
        card = Path(download_artifacts(run_id=found.run_id, artifact_path=CARD)).read_text(encoding="utf-8")
    licences = found.tags.get(LICENCES, NONE)
    figures = {key.removeprefix(FIGURES): value for key, value in run.data.metrics.items()}
    return Told(
        card=card,
        licences=() if licences == NONE else tuple(licences.split(", ")),
        figures=_kept(figures, found.tags["model"]),
    )


def _kept(figures: Mapping[str, Any], model: str) -> tuple[tuple[str, float], ...]:
    """The numbers among the figures of a model, by name; bounds of intervals are left to the card."""
    return tuple(
        (key, float(value))
        for key, value in sorted(figures.items())
        if isinstance(value, int | float) and key.startswith(f"{model}_") and not key.endswith(("_low", "_high"))
    )
