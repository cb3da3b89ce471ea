"""Replies of the server as items: of a thumb a rating, of two compared replies a choice, of what was sent a correction.

They go into a batch that grows until it holds `review.batch_items` of them, each shown to one person. What somebody
in the chat said is kept as what was said before (`judge`) and never learnt from: the reviewer's decision is.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tasks.judging.records import STORY, short_hash
from tasks.judging.records import Item as Answer
from tasks.reviews import clusters
from tasks.reviews.kinds import Kind, Split, Values
from tasks.reviews.leasing import open_batches
from tasks.reviews.params import ReviewParams
from tasks.reviews.prompts import kept, known, one_at_a_time, prompt_text
from tasks.reviews.tables import SERVED, Annotation, Assignment, Batch, Generation, Item, Prompt, Shown
from tasks.serving.reply import Reply

CHAT = "chat"  # who said it, where a judge's name stands else
MODEL = "fledgling"  # of a generation, whose model_version says which
# only these words tell what was asked: a chat names no task
_TASKS = (
    ("summarization", re.compile(r"\bsummar(?:y|i[sz]e)|\bin one sentence\b", re.IGNORECASE)),
    ("translation", re.compile(r"\btranslat(?:e|ion)\b", re.IGNORECASE)),
    (STORY, re.compile(r"\b(?:story|stories|tale|once upon a time)\b", re.IGNORECASE)),
)


def prepare() -> None:
    """Loads what takes seconds; call it before the transaction of `add_item`."""
    clusters.prepare()


def add_item(
    session: Session, replies: Sequence[Reply], kind: Kind, *, said: Values, params: ReviewParams, now: datetime
) -> str:
    """The item that shows these replies to one prompt; returns its id. Asked again, it is the same item.

    said: what somebody in the chat said of them, the last of it until the item is answered; a "winner" is a reply's id
    or "tie".
    """
    one_at_a_time(session)
    prompt = _prompt(session, replies[0], params, now)
    generations = {reply.id: _generation(session, reply, prompt) for reply in replies}
    told = _told(said, generations)
    item = _existing(session, kind, sorted(generations.values()))
    if item is None:
        item = _new(session, kind, prompt, sorted(generations.values()), told, params=params, now=now)
    elif told and not _is_answered(session, item):
        item.judge = told
    return item.id


def items_of(session: Session, reply: str) -> list[Item]:
    """The items that show a reply (its id), in order."""
    query = select(Item).join(Shown, Shown.item_id == Item.id).where(Shown.generation_id == generation_id(reply))
    return list(session.scalars(query.order_by(Item.batch_id, Item.position)))


def judged(reply: Reply) -> Answer:
    """A reply as judges know it: what was asked last, after what was said before."""
    prompt, document = asked(reply)
    return Answer(
        prompt_id=prompt_id(prompt, document), kind=task_of(prompt, reply.settings), prompt=prompt,
        answer=kept(reply.reply), by=MODEL, document=document,
    )  # fmt: skip


def prompt_id(prompt: str, document: str = "") -> str:
    """The id of the prompt that asks this, after what was said before."""
    return short_hash([SERVED, prompt, document])


def asked(reply: Reply) -> tuple[str, str]:
    """What was asked, and the conversation before it as a text for people; "" where there was none."""
    *before, last = reply.messages
    told = [f"{message['role']}: {message['content'].strip()}" for message in before]
    return kept(last["content"].strip()), kept("\n\n".join(told))


def task_of(prompt: str, settings: Mapping[str, object]) -> str:
    """The kind of task that a prompt is, by its words; a choice of labels is a classification."""
    if settings.get("labels"):
        return "classification"
    return next((task for task, words in _TASKS if words.search(prompt)), "assistant")


def generation_id(reply: str) -> str:
    """The id of the generation that is a reply."""
    return short_hash([SERVED, reply])


def _told(said: Values, generations: Mapping[str, str]) -> Values:
    if not said:
        return {}
    winner = {"winner": generations.get(said["winner"], said["winner"])} if "winner" in said else {}
    return {"judge": CHAT, **said, **winner}


def _prompt(session: Session, reply: Reply, params: ReviewParams, now: datetime) -> str:
    answer = judged(reply)
    if session.get(Prompt, answer.prompt_id) is None:
        whole = prompt_text(answer.prompt, answer.document)
        # one prompt alone is what a model learns from: an answer that hangs on what was said before would be none
        wanted: Split = "judge_calibration" if answer.document else "train"
        cluster, split = _place(session, answer.prompt_id, whole, wanted, jaccard=params.cluster_jaccard)
        session.add(
            Prompt(
                id=answer.prompt_id, kind=answer.kind, text=answer.prompt, document=answer.document, cluster=cluster,
                split=split, added_at=now,
            )
        )  # fmt: skip
        session.flush()
    return answer.prompt_id


def _place(session: Session, name: str, text: str, wanted: Split, *, jaccard: float) -> tuple[str, Split]:
    """Its cluster and split: near to a prompt of another split it belongs there, so that nothing held out leaks."""
    before = known(session)
    placed = clusters.place({name: text}, before, split=wanted, jaccard=jaccard)
    if name in placed.clusters:
        return placed.clusters[name], wanted
    foreign = placed.refused[name]
    if foreign == "train":
        return name, wanted
    return clusters.place({name: text}, before, split=foreign, jaccard=jaccard).clusters.get(name, name), foreign


def _generation(session: Session, reply: Reply, prompt: str) -> str:
    name = generation_id(reply.id)
    if session.get(Generation, name) is None:
        drawn = {**reply.settings, "seed": reply.seed, "reply": reply.id, "cut": reply.finish_reason == "length"}
        session.add(
            Generation(
                id=name, prompt_id=prompt, judged_item=judged(reply).id, text=kept(reply.reply), model=MODEL,
                model_version=reply.version[:64], decoding=drawn,
            )
        )  # fmt: skip
        session.flush()
    return name


def _existing(session: Session, kind: Kind, generations: Sequence[str]) -> Item | None:
    """The item of this kind that shows these answers and no others."""
    shows = select(Shown.item_id).where(Shown.generation_id == generations[0])
    for item in session.scalars(select(Item).where(Item.kind == kind, Item.id.in_(shows)).order_by(Item.id)):
        if sorted(shown.generation_id for shown in item.shown) == list(generations):
            return item
    return None


def _is_answered(session: Session, item: Item) -> bool:
    return session.scalar(select(Annotation.id).where(Annotation.item_id == item.id).limit(1)) is not None


def _new(
    session: Session, kind: Kind, prompt: str, generations: Sequence[str], told: Values, *, params: ReviewParams,
    now: datetime,
) -> Item:  # fmt: skip
    batch = _growing(session, params, now, of=generations[0])
    last = session.scalar(select(func.max(Item.position)).where(Item.batch_id == batch.id))
    position = 0 if last is None else last + 1
    item = Item(
        id=f"{batch.id}/{position + 1}", batch_id=batch.id, position=position, kind=kind, prompt_id=prompt, judge=told
    )
    session.add(item)
    session.flush()
    session.add_all(Shown(item_id=item.id, place=at, generation_id=one) for at, one in enumerate(generations))
    session.add(Assignment(item_id=item.id, slot="1"))
    session.flush()
    return item


def _growing(session: Session, params: ReviewParams, now: datetime, *, of: str) -> Batch:
    """The open batch of the chat that has room, else a new one."""
    for batch in open_batches(session):
        if batch.source == SERVED and batch.full_told_at is None and _count(session, batch) < batch.quota:
            return batch
    batch = Batch(
        id=f"{SERVED}-{now:%Y-%m-%d}-{of[:6]}", source=SERVED, settings=params.model_dump(mode="json"),
        quota=params.batch_items, published_at=now,
    )  # fmt: skip
    session.add(batch)
    session.flush()
    return batch


def _count(session: Session, batch: Batch) -> int:
    """Its items, without those that were set aside: others come in their place."""
    own = select(func.count()).select_from(Item).where(Item.batch_id == batch.id, Item.set_aside_at.is_(None))
    return session.scalar(own) or 0
