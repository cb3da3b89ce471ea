"""Who is asking: invite links, signed session cookies, CSRF tokens, roles."""

import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy.orm import Session

from apps.review.settings import Settings
from tasks.reviews.kinds import Role
from tasks.reviews.tables import Reviewer

INVITE_DAYS = 14
SESSION_DAYS = 30
DAY_S = 86_400
CSRF_HEADER = "X-CSRF-Token"


class NotJoined(Exception):
    """No session, or one that has ended; its text is for the person."""


class Refused(Exception):
    """Somebody else's page, or a request that did not come from this page; its text is for the person."""


@dataclass(frozen=True)
class Visit:
    """What a valid cookie says. key: random, one a session; the CSRF token and the rate limit go by it."""

    reviewer: int
    session_version: int
    key: str


class Gate:
    """Signs and checks invites, cookies and CSRF tokens with one secret, each under a salt of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._invites = URLSafeTimedSerializer(settings.secret, salt="fledgling.review.invite")
        self._sessions = URLSafeTimedSerializer(settings.secret, salt="fledgling.review.session")

    def invite_link(self, reviewer: Reviewer) -> str:
        """A link that lets its holder in as this person, for two weeks or until the person is revoked."""
        return f"{self._settings.address}/join?token={self._invites.dumps([reviewer.id, reviewer.session_version])}"

    def invited(self, session: Session, token: str) -> Reviewer:
        """Whom an invite is for. Raises NotJoined where it is forged, old or revoked."""
        try:
            found = self._invites.loads(token, max_age=INVITE_DAYS * DAY_S)
        except BadSignature:  # too old is one of these
            raise NotJoined("This invite link is not valid or too old; ask for a new one.") from None
        return _member(session, *found)

    def let_in(self, response: Response, request: Request, reviewer: Reviewer) -> None:
        """Sets the cookie of a new session."""
        value = self._sessions.dumps([reviewer.id, reviewer.session_version, secrets.token_urlsafe(16)])
        response.set_cookie(
            self._cookie(request), value, max_age=SESSION_DAYS * DAY_S, path="/",
            httponly=True, samesite="strict", secure=self._is_secure(request),
        )  # fmt: skip

    def see_out(self, response: Response, request: Request) -> None:
        """Removes the cookie."""
        response.delete_cookie(
            self._cookie(request), path="/", httponly=True, samesite="strict", secure=self._is_secure(request)
        )

    def visit(self, request: Request) -> Visit:
        """What the request's cookie says. Raises NotJoined without a valid one."""
        try:
            found = self._sessions.loads(
                request.cookies.get(self._cookie(request), ""), max_age=SESSION_DAYS * DAY_S
            )  # fmt: skip
        except BadSignature:
            raise NotJoined("Open your invite link to begin.") from None
        return Visit(*found)

    def csrf(self, visit: Visit) -> str:
        """The token that each change of this session must bring."""
        key = f"fledgling.review.csrf:{self._settings.secret}".encode()
        return hmac.new(key, visit.key.encode(), "sha256").hexdigest()

    def check_csrf(self, request: Request, visit: Visit, token: str) -> None:
        """Raises Refused where a change was asked for by anything but a page of this session."""
        check_origin(request)
        if not hmac.compare_digest(self.csrf(visit).encode(), token.encode()):
            raise Refused("This page is out of date; load it again.")

    def _is_secure(self, request: Request) -> bool:
        return self._settings.is_https or request.url.scheme == "https"

    def _cookie(self, request: Request) -> str:
        """A page on another port of this machine has a cookie of its own; __Host- binds it to the host."""
        return "__Host-fledgling-review" if self._is_secure(request) else f"fledgling-review-{self._settings.port}"


def check_origin(request: Request) -> None:
    """Raises Refused where the browser says that another site asks."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    own = request.headers.get("host", "")
    if site != "same-origin" or (origin is not None and origin.partition("://")[2] != own):
        raise Refused("This request came from another site.")


def member(session: Session, visit: Visit, *, role: Role = "reviewer") -> Reviewer:
    """The person of a visit, as the database knows them now. An owner may do what a reviewer may.

    Raises NotJoined where they were revoked meanwhile, Refused where the role is another.
    """
    reviewer = _member(session, visit.reviewer, visit.session_version)
    if role == "owner" and reviewer.role != "owner":
        raise Refused("This page is for the project's owner.")
    return reviewer


def _member(session: Session, number: Any, session_version: Any) -> Reviewer:
    reviewer = session.get(Reviewer, number)
    if reviewer is None or not reviewer.is_active or reviewer.session_version != session_version:
        raise NotJoined("This invite or session has ended; ask for a new link.")
    return reviewer
