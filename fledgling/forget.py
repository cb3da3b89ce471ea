"""`fledgling forget`: a reviewer or a served reply, deleted on request."""

from tasks.keeping.forgetting import forget_reply, forget_reviewer
from tasks.reviews.database import open_database
from tasks.stage import UserError


def forget(*, reviewer: str | None, reply: str | None) -> str:
    """Deletes one of the two; what to tell. Raises UserError where not exactly one is named, or there is no such."""
    if (reviewer is None) == (reply is None):
        raise UserError("name one: --reviewer NAME or --reply ID")
    with open_database() as database:
        if reviewer is not None:
            return forget_reviewer(database, reviewer).line
        return forget_reply(database, str(reply)).line
