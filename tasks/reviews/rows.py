"""Rows of a batch file, made of annotations: the same annotation always gives the same row."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from tasks.reviews.batch_file import Answer, Feedback, Prompt
from tasks.reviews.kinds import Purpose
from tasks.reviews.tables import Annotation, Exported, Shown


def rows_of(session: Session, export: int) -> list[Feedback]:
    """The decisions of an export (its id), as they stand in its file."""
    query = select(Annotation).join(Exported, Exported.annotation_id == Annotation.id)
    annotations = session.scalars(query.where(Exported.export_id == export).order_by(Annotation.id))
    return [row(annotation) for annotation in annotations]


def row(annotation: Annotation) -> Feedback:
    """The row of an annotation: the reviewer by their pseudonym, the moment by its day."""
    item = annotation.item
    prompt = item.prompt
    return Feedback(
        batch=item.batch_id,
        item=item.id,
        annotation=annotation.id,
        kind=item.kind,  # type: ignore[arg-type]
        purpose=purpose_of(annotation),
        prompt=Prompt(
            id=prompt.id,
            text=prompt.text,
            document=prompt.document,
            task=prompt.kind,
            cluster=prompt.cluster,
            split=prompt.split,  # type: ignore[arg-type]
        ),
        answers=tuple(map(_answer, item.shown)),
        decision=annotation.decision,
        sides=tuple(annotation.sides),
        reviewer=annotation.reviewer.pseudonym,
        milliseconds=annotation.milliseconds,
        day=annotation.at.date(),
        judge=item.judge,
    )


def _answer(shown: Shown) -> Answer:
    generation = shown.generation
    return Answer(
        generation=generation.id,
        judged_item=generation.judged_item,
        text=generation.text,
        model=generation.model,
        model_version=generation.model_version,
        decoding=generation.decoding,
    )


def purpose_of(annotation: Annotation) -> Purpose:
    """What it is for; an item may have become a gold one after it was handed out."""
    if annotation.assignment.is_again:
        return "again"
    return "ordinary" if annotation.item.gold is None else "gold"
