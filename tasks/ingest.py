"""The stage `ingest`: texts from the sources named in params.yaml to one table of raw records."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tasks import sources, stage
from tasks.records import Record, write_records
from tasks.sources import FilesSource, HubSource, StorybookSource
from tasks.stage import Params, UserError

log = logging.getLogger(__name__)

Source = Annotated[StorybookSource | FilesSource | HubSource, Field(discriminator="kind")]


class IngestParams(Params):
    """Where the text comes from; the weights mix the sources in training."""

    sources: tuple[Source, ...] = Field(min_length=1)
    bad_records: Literal["stop", "keep apart"]
    max_record_bytes: int = Field(gt=0)

    @model_validator(mode="after")
    def _names_differ(self) -> "IngestParams":
        twice = [name for name, count in Counter(source.name for source in self.sources).items() if count > 1]
        if twice:
            raise ValueError(f"two sources are called '{twice[0]}'; each needs a name of its own")
        return self


def ingest(params: IngestParams, *, records: Path, unreadable: Path, metrics: Path) -> None:
    """Reads every source into one table; what can't be read stops the stage or is kept apart with its place.

    The hand-written hold-out of the storybook is always read, whatever the sources: it is the yardstick
    that figures are quoted on. Raises UserError naming the file and the line.
    """
    bad = sources.BadRecords(stop=params.bad_records == "stop", limit_bytes=params.max_record_bytes)
    counts: Counter[str] = Counter()
    written = write_records(records, _all_records(params, bad, counts))
    bad.write(unreadable)
    log.info("%d records from %d sources, %d set aside", written, len(params.sources), len(bad.found))
    by_source = {f"records_{name.replace('-', '_')}": count for name, count in sorted(counts.items())}
    stage.write_metrics(metrics, {"records": written, "records_unreadable": len(bad.found), **by_source})


def _all_records(params: IngestParams, bad: sources.BadRecords, counts: Counter[str]) -> Iterator[Record]:
    """Every source's records, counted. Raises UserError after a source that holds none."""
    yield from _counted(sources.storybook_holdout(), counts)
    for source in params.sources:
        log.info("reading '%s' (%s)", source.name, source.where)
        yield from _counted(source.read(bad), counts)
        if not counts[source.name]:
            raise UserError(f"source '{source.name}' holds no record ({source.where})")


def _counted(records: Iterator[Record], counts: Counter[str]) -> Iterator[Record]:
    for record in records:
        counts[record.source] += 1
        yield record


if __name__ == "__main__":
    stage.main(ingest)
