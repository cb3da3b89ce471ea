"""The files of a batch in the workspace, by their manifests."""

from pathlib import Path

from tasks.provenance.way import BatchFile
from tasks.reviews.batch_file import FEEDBACK, MANIFEST_SUFFIX, SUFFIX, Manifest, read_manifest


def manifests(folder: Path = FEEDBACK) -> dict[Path, Manifest]:
    """Every manifest there is, by the batch file that it tells of. Raises UserError where one is broken."""
    paths = sorted(folder.glob(f"*{MANIFEST_SUFFIX}"))
    return {path.with_name(path.name.removesuffix(MANIFEST_SUFFIX) + SUFFIX): read_manifest(path) for path in paths}


def names() -> list[str]:
    """The batches that have a manifest here."""
    return sorted({manifest.batch for manifest in manifests().values()})


def batch_files(batch: str) -> tuple[BatchFile, ...]:
    """The files of a batch, the first collection's first; none where their manifests are not here."""
    own = [(path, manifest) for path, manifest in manifests().items() if manifest.batch == batch]
    return tuple(_file(path, manifest) for path, manifest in sorted(own, key=lambda found: found[1].number))


def _file(path: Path, manifest: Manifest) -> BatchFile:
    left_out: dict[str, int] = {}
    for one in manifest.left_out:
        left_out[one.reason] = left_out.get(one.reason, 0) + one.rows
    return BatchFile(
        file=path.as_posix(),
        sha256=manifest.sha256,
        decisions=manifest.rows,
        published=manifest.published.isoformat(),
        collected=manifest.collected.isoformat(),
        source=manifest.source,
        kinds=manifest.kinds,
        reviewers=manifest.reviewers,
        judges=manifest.judges,
        left_out=left_out,
    )
