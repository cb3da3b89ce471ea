"""What the owner of a project sees of the reviewing: batches, how far people agree, each reviewer's figures."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from tasks.evaluation.intervals import Bootstrap
from tasks.reviews.agreement import PAIRS, Agreement, Vote, agreement, votes_of
from tasks.reviews.chains import in_force, live
from tasks.reviews.params import QualityParams, ReviewParams
from tasks.reviews.progress import counts
from tasks.reviews.quality import Quality, qualities
from tasks.reviews.tables import Annotation, Batch, Export, Reviewer


@dataclass(frozen=True, kw_only=True)
class File:
    """A batch file that was collected. is_written: it lies in data/feedback, and is_mirrored: in MLflow too."""

    name: str
    rows: int
    manifest_sha256: str
    at: datetime
    is_written: bool
    is_mirrored: bool


@dataclass(frozen=True, kw_only=True)
class BatchOverview:
    """How far a batch is. done, wanted: ordinary decisions; items: by kind, gold ones apart; set_aside: items.

    agreement: of people with each other by scale: two answers (PAIRS), and each axis of a rating.
    """

    id: str
    source: str
    published_at: datetime
    closed_at: datetime | None
    done: int
    wanted: int
    items: Mapping[str, int]
    gold: int
    set_aside: int
    agreement: Mapping[str, Agreement]
    files: tuple[File, ...]

    @property
    def of_pairs(self) -> Agreement | None:
        """The agreement on two answers; None where nobody compared any."""
        return self.agreement.get(PAIRS)


@dataclass(frozen=True, kw_only=True)
class ReviewerOverview:
    """A reviewer's figures. quality: None before their first answer; skips: cards that they passed over."""

    id: int
    name: str
    pseudonym: str
    role: str
    is_active: bool
    session_version: int
    skips: int
    quality: Quality | None


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Everything, the newest batch first; agreement: over all batches."""

    batches: tuple[BatchOverview, ...]
    reviewers: tuple[ReviewerOverview, ...]
    agreement: Mapping[str, Agreement]


def overview(session: Session, params: ReviewParams, *, now: datetime) -> Overview:
    """All batches and reviewers as they stand."""
    bootstrap = bootstrap_of(params.quality, seed=params.seed)
    votes = _by_batch(live(session))
    query = select(Batch).order_by(Batch.published_at.desc(), Batch.id.desc()).options(selectinload(Batch.items))
    batches = session.scalars(query).all()
    return Overview(
        batches=tuple(_batch(session, batch, votes.get(batch.id, []), bootstrap) for batch in batches),
        reviewers=tuple(_reviewers(session, params.quality, now)),
        agreement=agreement([vote for own in votes.values() for vote in own], bootstrap=bootstrap),
    )


def batch_overview(session: Session, batch: str, params: ReviewParams) -> BatchOverview | None:
    """One batch; None where there is none of this id."""
    found = session.get(Batch, batch)
    if found is None:
        return None
    votes = _by_batch(live(session, batch=batch)).get(batch, [])
    return _batch(session, found, votes, bootstrap_of(params.quality, seed=params.seed))


def bootstrap_of(params: QualityParams, *, seed: int) -> Bootstrap:
    """How intervals of agreement are drawn."""
    return Bootstrap(resamples=params.bootstrap, confidence=params.confidence, seed=seed)


def votes_in(annotations: Iterable[Annotation]) -> list[Vote]:
    """The votes in ordinary answers: gold items and repeats measure a reviewer, not how far people agree."""
    return [
        vote
        for annotation in annotations
        if annotation.assignment.purpose == "ordinary"
        for vote in votes_of(
            annotation.item.kind, annotation.decision, item=annotation.item_id, shown=annotation.sides,
            by=str(annotation.reviewer_id),
        )
    ]  # fmt: skip


def _by_batch(annotations: Iterable[Annotation]) -> dict[str, list[Vote]]:
    found: dict[str, list[Vote]] = {}
    for annotation in annotations:
        found.setdefault(annotation.item.batch_id, []).extend(votes_in([annotation]))
    return found


def _batch(session: Session, batch: Batch, told: list[Vote], bootstrap: Bootstrap) -> BatchOverview:
    done, wanted = counts(session, batch)
    return BatchOverview(
        id=batch.id,
        source=batch.source,
        published_at=batch.published_at,
        closed_at=batch.closed_at,
        done=done,
        wanted=wanted,
        items=Counter(item.kind for item in batch.items if item.gold is None),
        gold=sum(item.gold is not None for item in batch.items),
        set_aside=sum(item.set_aside_at is not None for item in batch.items),
        agreement=agreement(told, bootstrap=bootstrap),
        files=tuple(_files(session, batch)),
    )


def _files(session: Session, batch: Batch) -> Iterable[File]:
    for export in session.scalars(select(Export).where(Export.batch_id == batch.id).order_by(Export.number)):
        yield File(
            name=export.file,
            rows=int(export.manifest.get("rows", 0)),
            manifest_sha256=export.manifest_sha256,
            at=export.at,
            is_written=export.written_at is not None,
            is_mirrored=export.mirrored_at is not None,
        )


def _reviewers(session: Session, params: QualityParams, now: datetime) -> Iterable[ReviewerOverview]:
    found, skips = qualities(session, params, now=now), _skips(session)
    for reviewer in session.scalars(select(Reviewer).order_by(Reviewer.name)):
        yield ReviewerOverview(
            id=reviewer.id,
            name=reviewer.name,
            pseudonym=reviewer.pseudonym,
            role=reviewer.role,
            is_active=reviewer.is_active,
            session_version=reviewer.session_version,
            skips=skips.get(reviewer.id, 0),
            quality=found.get(reviewer.id),
        )


def _skips(session: Session) -> dict[int, int]:
    query = (
        select(Annotation.reviewer_id, func.count())
        .where(Annotation.action == "skip", in_force())
        .group_by(Annotation.reviewer_id)
    )
    return {reviewer: int(count) for reviewer, count in session.execute(query).all()}
