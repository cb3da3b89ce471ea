"""The record of what was served, in the review database, and what people in the chat say of it.

A request waits for none of it: replies go into a bounded queue that one thread writes. Where `serve.record.keep` is
off the last replies are known in memory alone, and what somebody votes on or sends to review is kept for that.
"""

import logging
import queue
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from tasks.reviews import served
from tasks.reviews.database import Database, open_database
from tasks.reviews.kinds import Kind, Values
from tasks.reviews.params import ReviewParams
from tasks.reviews.tables import ReplyVote, ServedReply
from tasks.serving.params import RecordParams
from tasks.serving.recorded import forget, of_row, to_row
from tasks.serving.reply import Reply
from tasks.serving.traces import Tracer
from tasks.stage import UserError, load_params

log = logging.getLogger(__name__)

Vote = Literal["up", "down", "better", "worse", "tie"]
ALONE, BESIDE = ("up", "down"), ("better", "worse", "tie")
REMEMBERED = 1_000  # replies that are known in memory
QUEUED = 1_000  # replies that may wait for the database; one more is lost, and counted
AT_ONCE = 100  # replies of one transaction
WAITS_S = 60.0  # for a reply, before it looks whether something is old
AGAIN_S = 5.0  # after a failure of the database
FORGET_EVERY_S = 3600.0


class UnknownReply(UserError):
    """No such reply is known, any more or at all."""


def open_record(params: RecordParams) -> "Record":
    """The server's record, by the section `review` of params.yaml and the database's address in the environment."""
    return Record(params, reviews=load_params(ReviewParams, "review"))


class Record:
    """Close it, or use it as a context: what is queued is written then. database: opened when it is first needed."""

    def __init__(
        self, params: RecordParams, *, reviews: ReviewParams, database: Callable[[], Database] = open_database
    ) -> None:
        self._params, self._reviews, self._open = params, reviews, database
        self._known: OrderedDict[str, Reply] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()  # of the two above
        self._writing = threading.Lock()  # one transaction at a time: the same reply is never written twice
        self._waiting: queue.Queue[Reply | None] = queue.Queue(QUEUED)
        self._ends = threading.Event()
        self._tracer = Tracer(params.trace_share) if params.trace_share else None
        self._thread = threading.Thread(target=self._run, name="record", daemon=True) if params.keep else None
        if self._thread:
            self._thread.start()

    @cached_property
    def database(self) -> Database:
        """The review database, its tables brought up to date. Raises UserError where it can't be had."""
        return self._open()

    def prepare(self) -> None:
        """Loads what takes seconds, or the first vote would wait for it; of any thread."""
        served.prepare()

    def write(self, reply: Reply) -> None:
        """Keeps a reply, as far as the parameters say; returns at once and raises nothing."""
        with self._lock:
            self._known[reply.id] = reply
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if self._tracer:
            self._tracer.send(reply)
        if self._thread is None:
            return
        try:
            self._waiting.put_nowait(reply)
        except queue.Full:
            if self._count("lost") == 1:
                log.warning("%d replies wait for the review database: what comes now is not recorded", QUEUED)

    def find(self, reply_id: str) -> Reply | None:
        """A reply that is still known."""
        with self._lock:
            found = self._known.get(reply_id)
        if found is not None or not self._has_database:
            return found
        with self.database.reading() as session:
            row = session.get(ServedReply, reply_id)
            return None if row is None else of_row(row)

    def vote(self, reply_id: str, value: Vote, *, other: str | None = None, now: datetime | None = None) -> str | None:
        """Keeps a vote and what it is on; returns the review item that it became.

        other: the reply beside it, of better, worse and tie. No item (None) is made of two equal texts and of an empty
        one. Raises UnknownReply, and UserError where the two answer different questions or the value is none of these.
        """
        replies = self._voted(reply_id, value, other)
        made = now or datetime.now(UTC)
        self._prepare(made)
        with self._writing, self.database.session() as session:
            self._add(session, replies)
            conversation = session.get_one(ServedReply, reply_id).conversation
            session.add(
                ReplyVote(
                    reply_id=reply_id, other_reply_id=other, value=value, conversation=conversation, created_at=made
                )
            )
            session.flush()
            item = self._item_of_vote(session, replies, value, made) if _can_be_shown(replies) else None
        self._count(f"vote_{value}")
        return item

    def send_to_review(self, reply_id: str, *, now: datetime | None = None) -> str:
        """Makes a correction item of a reply; returns its id, the same one when asked again. Raises UnknownReply."""
        reply = self._get(reply_id)
        if not _can_be_shown([reply]):
            raise UserError(f"{reply_id}: nothing was said, so there is nothing to review")
        made = now or datetime.now(UTC)
        self._prepare(made)
        with self._writing, self.database.session() as session:
            self._add(session, [reply])
            item = self._item(session, [reply], "correction", {}, made)
        self._count("sent_to_review")
        return item

    def forget(self, before: datetime) -> int:
        """Deletes the replies of before a moment, and what was voted on them; returns how many.

        Items of the review queue stay: somebody sent them there.
        """
        with self._lock:
            for name in [one.id for one in self._known.values() if one.created_at < before]:
                del self._known[name]
        with self._writing:
            return forget(self.database, before)

    def figures(self) -> Mapping[str, int]:
        """How many replies were recorded, lost and traced, how many votes of each kind, how many sent to review."""
        traced = {"traced": self._tracer.sent} if self._tracer else {}
        with self._lock:
            return {**self._counts, **traced}

    def close(self) -> None:
        """Writes what is queued; what the database does not take now is lost."""
        self._ends.set()
        if self._thread:
            with suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(30)
        if self._tracer:
            self._tracer.close()
        if "database" in self.__dict__:
            self.database.close()

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _has_database(self) -> bool:
        """Whether replies can be in it: one that was opened for nothing would be an empty file."""
        return self._params.keep or "database" in self.__dict__

    def _prepare(self, now: datetime) -> None:
        """Before something is kept: what is old goes, also where nothing is recorded but what is voted on."""
        served.prepare()
        with self._writing:
            forget(self.database, now - timedelta(days=self._params.days))

    def _get(self, reply_id: str) -> Reply:
        found = self.find(reply_id)
        if found is None:
            raise UnknownReply(f"reply '{reply_id}' is not known any more, or never was")
        return found

    def _voted(self, reply_id: str, value: Vote, other: str | None) -> list[Reply]:
        wanted = ALONE if other is None else BESIDE
        if value not in wanted:
            raise UserError(f"value is '{value}'; of {'one reply' if other is None else 'two'}: {', '.join(wanted)}")
        if other == reply_id:
            raise UserError("other is the same reply")
        replies = [self._get(one) for one in (reply_id, other) if one is not None]
        if len({served.asked(reply) for reply in replies}) > 1:
            raise UserError("the two replies are to different questions")
        return replies

    def _item_of_vote(self, session: Session, replies: Sequence[Reply], value: Vote, now: datetime) -> str:
        if len(replies) == 1:
            return self._item(session, replies, "rating", {"thumb": value}, now)
        winner = {"better": replies[0].id, "worse": replies[1].id, "tie": "tie"}[value]
        return self._item(session, replies, "choice", {"winner": winner}, now)

    def _item(self, session: Session, replies: Sequence[Reply], kind: Kind, said: Values, now: datetime) -> str:
        return served.add_item(session, replies, kind, said=said, params=self._reviews, now=now)

    def _add(self, session: Session, replies: Sequence[Reply]) -> None:
        for reply in replies:
            if session.get(ServedReply, reply.id) is None:
                session.add(to_row(reply))
                session.flush()

    def _count(self, what: str, more: int = 1) -> int:
        with self._lock:
            self._counts[what] += more
            return self._counts[what]

    def _run(self) -> None:
        """The thread: writes what comes, forgets what is old, tries again where the database is away."""
        due = datetime.min.replace(tzinfo=UTC)
        pending: list[Reply] = []
        is_down, wait_s = False, 0.0  # at first: the database is opened now, and not by somebody's first vote
        while True:
            is_last = self._ends.is_set()  # whether this is the last try
            pending += self._taken(AT_ONCE - len(pending), wait_s=wait_s)
            wait_s = WAITS_S
            try:
                if datetime.now(UTC) >= due:
                    self.forget(datetime.now(UTC) - timedelta(days=self._params.days))
                    due = datetime.now(UTC) + timedelta(seconds=FORGET_EVERY_S)
                self._write(pending)
                pending, is_down = [], False
            except UserError as error:
                if not is_down:
                    log.warning("replies are not recorded for now: %s", error)
                is_down = True
                self._ends.wait(AGAIN_S)
            except SQLAlchemyError as error:  # of what is written, not of the database's state: it never gets in
                log.warning("%d replies can't be recorded: %s", len(pending), str(error).splitlines()[0])
                self._count("lost", len(pending))
                pending = []
            if is_last and (is_down or (self._waiting.empty() and not pending)):
                break
        if left := len(pending) + self._waiting.qsize():
            self._count("lost", left)

    def _taken(self, most: int, *, wait_s: float) -> list[Reply]:
        """Waits for a reply; with it comes what waits too."""
        found: list[Reply | None] = []
        with suppress(queue.Empty):
            if most > 0 and not self._ends.is_set():
                found.append(self._waiting.get(timeout=wait_s))
            while len(found) < most:
                found.append(self._waiting.get_nowait())
        return [reply for reply in found if reply is not None]

    def _write(self, replies: Sequence[Reply]) -> None:
        if not replies:
            return
        with self._writing, self.database.session() as session:
            self._add(session, replies)
        self._count("recorded", len(replies))


def _can_be_shown(replies: Sequence[Reply]) -> bool:
    """Whether reviewers have something to decide: texts, and two different ones where there are two."""
    texts = [reply.reply.strip() for reply in replies]
    return all(texts) and len(set(texts)) == len(texts)
