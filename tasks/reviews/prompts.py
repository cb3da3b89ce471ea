"""The prompts of the database, and how texts get into it; light, for whoever adds some beside a server's work."""

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from tasks.reviews.clusters import Known
from tasks.reviews.tables import Prompt


def prompt_text(prompt: str, document: str) -> str:
    """All that was asked: the prompt, and the document where it is not in it."""
    return prompt if document in prompt else f"{prompt}\n\n{document}"


def known(session: Session) -> list[Known]:
    """Every prompt of the database, the first added first."""
    rows = session.scalars(select(Prompt).order_by(Prompt.added_at, Prompt.id))
    return [
        Known(id=row.id, text=prompt_text(row.text, row.document), cluster=row.cluster, split=row.split)  # type: ignore[arg-type]
        for row in rows
    ]


def one_at_a_time(session: Session) -> None:
    """Two that publish at once would both find the same answers unseen. SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE batches IN SHARE ROW EXCLUSIVE MODE"))


def kept(text: str) -> str:
    """A text as every database takes it: PostgreSQL knows no NUL, and no half of a surrogate pair."""
    return text.replace("\x00", "�").encode("utf-8", "replace").decode()
