"""Makes a batch of what the chain left: the items, their answers and prompts, the slots that reviewers fill."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from tasks.judging.records import Item as Answer
from tasks.judging.records import short_hash
from tasks.reviews import clusters
from tasks.reviews.candidates import Candidate, Judged, candidates, chosen, read_judged, together
from tasks.reviews.cards import draw
from tasks.reviews.chains import in_force
from tasks.reviews.clusters import Placed
from tasks.reviews.database import Database
from tasks.reviews.gold import READ, SPLITS, Gold, gold_items
from tasks.reviews.kinds import Split, Values
from tasks.reviews.params import ReviewParams
from tasks.reviews.prompts import kept, known, one_at_a_time, prompt_text
from tasks.reviews.tables import Annotation, Assignment, Batch, Generation, Item, Prompt, Shown
from tasks.stage import UserError

SPLIT_OF: Mapping[str, Split] = {
    "labelled": "train",
    "judged": "holdout",
    "gated": "holdout",
}  # what a source's prompts may be used for
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
NUMBERED = re.compile(r"-\d{1,4}$")  # how the files of late answers end


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where the chain's outputs lie."""

    sampled: Path = Path("data/sampled.jsonl")
    labelled: Path = Path("data/labelled")
    judged: Path = Path("data/judged")
    gated: Path = Path("data/gated/compared")
    clean: Path = Path("data/clean")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the answers come from. versions: by model, the hash of its bytes; mlflow_run: of the registered chain."""

    versions: Mapping[str, str] = field(default_factory=dict)
    mlflow_run: str = ""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A batch that was made. refused: prompts that belong to another split, by that split."""

    batch: str
    kinds: Mapping[str, int]
    tasks: Mapping[str, int]
    gold: int
    doubles: int
    quota: int
    refused: Mapping[str, int]

    @property
    def line(self) -> str:
        """What was made, in one line."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
        told = f"{self.batch}: {kinds}; {self.doubles} for two people, {self.gold} gold; {self.quota} answers fill it"
        refused = ", ".join(f"{count} of {split}" for split, count in self.refused.items())
        return f"{told}; prompts refused: {refused}" if refused else told


def publish(
    database: Database,
    *,
    params: ReviewParams,
    now: datetime,
    outputs: Outputs = Outputs(),
    origin: Origin = Origin(),
    name: str | None = None,
) -> Published:
    """Makes a batch of params.batch_items items that were never shown before, in one transaction.

    name: of the batch and its files; else the day and a hash. Raises UserError where the chain's outputs are
    missing, the name is no name or taken, or nothing is left to show.
    """
    _check(name)
    judged = read_judged(
        params.source, sampled=outputs.sampled, labelled=outputs.labelled, judged=outputs.judged, gated=outputs.gated
    )
    gold = _gold(params, outputs.clean)
    clusters.prepare()  # on SQLite every answer waits while a batch is written
    with database.session() as session:
        one_at_a_time(session)
        maker = _Maker(session=session, params=params, now=now, origin=origin)
        made = maker.make(judged, gold, name)
        if not database.is_sqlite:
            session.execute(text("ANALYZE"))  # until PostgreSQL has looked, a submit took 680 ms, and then 80 to 120
        return made


def present_origin() -> Origin:
    """That of the answers in this folder: the models as dvc.lock names them and the champion as its file does, the
    run where they were registered."""
    from tasks.gating.champion import CHAMPION, FOLDER, read_champion
    from tasks.registry.evidence import Lock
    from tasks.workspace import registered

    versions = {Path(path).name: md5 for path, md5 in Lock().outs.items() if path.startswith("models/")}
    if (FOLDER / CHAMPION).exists() and (champion := read_champion()):
        versions["champion"] = champion.model_md5  # what its answers go by at the gate
    return Origin(versions=versions, mlflow_run=str(registered().get("run_id", "")))


def _check(name: str | None) -> None:
    if name is not None and (not NAME.fullmatch(name) or NUMBERED.search(name)):
        raise UserError(
            f"'{name}' is no name of a batch: up to 40 of a-z, 0-9 and -, not ending in - and a number of four digits"
        )


def _gold(params: ReviewParams, clean: Path) -> list[Gold]:
    from tasks.judging.examination.stories import read_stories

    if not params.gold_share:
        return []
    stories = read_stories(clean, SPLITS, most=READ, seed=params.seed)
    return gold_items(stories, count=len(stories), seed=str(params.seed))


@dataclass(frozen=True, kw_only=True)
class _Maker:
    """One making of a batch, inside a transaction."""

    session: Session
    params: ReviewParams
    now: datetime
    origin: Origin

    def make(self, judged: Judged, gold: Sequence[Gold], name: str | None) -> Published:
        found, placed = self._usable(judged)
        picked = chosen(found, shares=self.params.kinds, count=self.params.batch_items, seed=self.params.seed)
        if not picked:
            raise UserError(
                f"nothing of {self.params.source} is left to show: all of it was published, or belongs to another "
                "split; a new model's answers are new"
            )
        self._add_prompts((one.answers[0] for one in picked), placed, split=SPLIT_OF[self.params.source])
        batch = self._add_batch(picked, name)
        checks = self._add_gold(gold)
        items = self._add_items(batch, picked, checks)
        batch.quota = sum(self._slots(items, picked))
        return Published(
            batch=batch.id,
            kinds=Counter(one.kind for one in picked),
            tasks=Counter(one.answers[0].kind for one in picked),
            gold=len(checks),
            doubles=batch.quota - len(picked),
            quota=batch.quota,
            refused=Counter(placed.refused.values()),
        )

    def _usable(self, judged: Judged) -> tuple[list[Candidate], Placed]:
        """Candidates of prompts that may be used, without answers that were shown so before."""
        prompts = {item.prompt_id: prompt_text(item.prompt, item.document) for item in judged.items}
        placed = self._place(prompts, SPLIT_OF[self.params.source])
        seen, doubts = self._seen(prompts), self._doubts(prompts)
        found = candidates(judged, doubts=doubts)
        return [one for one in found if one.prompt in placed.clusters and not seen & one.together], placed

    def _place(self, prompts: Mapping[str, str], split: Split) -> Placed:
        return clusters.place(prompts, known(self.session), split=split, jaccard=self.params.cluster_jaccard)

    def _seen(self, prompts: Collection[str]) -> set[tuple[str, ...]]:
        """The answers to these prompts, by their judged ids, that were shown alone or two at a time."""
        rows = self.session.execute(
            select(Shown.item_id, Generation.judged_item)
            .join(Generation, Generation.id == Shown.generation_id)
            .where(Generation.prompt_id.in_(prompts))
        )
        shown: dict[str, list[str]] = {}
        for item, judged_item in rows:
            shown.setdefault(item, []).append(judged_item)
        return {parts for answers in shown.values() for parts in together(answers)}

    def _doubts(self, prompts: Collection[str]) -> dict[str, float]:
        """By prompt the share of people's choices that were not the judge's."""
        rows = self.session.execute(
            select(Item.prompt_id, Item.judge, Annotation.decision)
            .join(Item, Item.id == Annotation.item_id)
            .where(Annotation.action == "answer", in_force(), Item.kind == "choice", Item.gold.is_(None))
            .where(Item.prompt_id.in_(prompts))
        )
        differed: dict[str, list[bool]] = {}
        for prompt, judge, decision in rows:
            if "winner" in judge:
                differed.setdefault(prompt, []).append(judge["winner"] != decision["winner"])
        return {prompt: sum(told) / len(told) for prompt, told in differed.items()}

    def _add_prompts(self, asked: Iterable[Answer], placed: Placed, *, split: Split) -> None:
        for answer in asked:
            if self.session.get(Prompt, answer.prompt_id) is None:
                prompt = Prompt(
                    id=answer.prompt_id,
                    kind=answer.kind,
                    text=kept(answer.prompt),
                    document=kept(answer.document),
                    cluster=placed.clusters[answer.prompt_id],
                    split=split,
                    added_at=self.now,
                )
                self.session.add(prompt)
        self.session.flush()

    def _add_batch(self, picked: Sequence[Candidate], name: str | None) -> Batch:
        ids = [sorted(one.together) for one in picked]
        name = name or f"{self.now:%Y-%m-%d}-{short_hash(ids)[:6]}"
        if self.session.get(Batch, name) is not None:
            raise UserError(f"there is a batch '{name}' already; a batch is published once")
        settings = self.params.model_dump(mode="json")
        batch = Batch(id=name, source=self.params.source, settings=settings, quota=0, published_at=self.now)
        self.session.add(batch)
        self.session.flush()
        return batch

    def _add_gold(self, gold: Sequence[Gold]) -> list[Gold]:
        """As many as one person who does the whole batch is shown, none that was shown before."""
        share = self.params.gold_share
        wanted = math.ceil(self.params.batch_items * share / (1 - share))
        prompts = {one.better.prompt_id: one.better.prompt for one in gold}
        placed, seen = self._place(prompts, "gold"), self._seen(prompts)
        fresh = [one for one in gold if one.better.prompt_id in placed.clusters and not seen & _pair(one)]
        self._add_prompts((one.better for one in fresh[:wanted]), placed, split="gold")
        return fresh[:wanted]

    def _add_items(self, batch: Batch, picked: Sequence[Candidate], checks: Sequence[Gold]) -> list[Item]:
        """The items, gold ones anywhere among them; returns the others, in the order of `picked`."""
        places = [(at + 0.5) / len(picked) for at in range(len(picked))]
        places += [draw("gold", batch.id, number) for number in range(len(checks))]
        position = {which: at for at, which in enumerate(sorted(range(len(places)), key=places.__getitem__))}
        ordinary = [
            self._add_item(batch, position[at], one.kind, one.answers, judge=one.judge) for at, one in enumerate(picked)
        ]
        for number, one in enumerate(checks):
            answers = sorted((one.better, one.worse), key=lambda answer: answer.id)
            self._add_item(batch, position[len(picked) + number], "choice", answers, right=one.better)
        return ordinary

    def _add_item(
        self, batch: Batch, position: int, kind: str, answers: Sequence[Answer], *, judge: Values | None = None,
        right: Answer | None = None,
    ) -> Item:  # fmt: skip
        generations = {answer.id: self._generation(answer) for answer in answers}
        item = Item(
            id=f"{batch.id}/{position + 1}",
            batch_id=batch.id,
            position=position,
            kind=kind,
            prompt_id=answers[0].prompt_id,
            judge=_in_generations(judge or {}, generations),
            gold={"winner": generations[right.id]} if right else None,
        )
        self.session.add(item)
        self.session.flush()
        shown = [Shown(item_id=item.id, place=at, generation_id=one) for at, one in enumerate(generations.values())]
        self.session.add_all(shown)
        return item

    def _generation(self, answer: Answer) -> str:
        """The id of an answer's row, which is made where there is none."""
        version = self.origin.versions.get(answer.by, "")
        name = short_hash([answer.prompt_id, answer.id, answer.by, version, dict(answer.decoding)])
        if self.session.get(Generation, name) is None:
            generation = Generation(
                id=name,
                prompt_id=answer.prompt_id,
                judged_item=answer.id,
                text=kept(answer.answer),
                model=answer.by,
                model_version=version,
                decoding=dict(answer.decoding),
                mlflow_run=self.origin.mlflow_run,
            )
            self.session.add(generation)
            self.session.flush()
        return name

    def _slots(self, items: Sequence[Item], picked: Sequence[Candidate]) -> list[int]:
        """How many people are asked about each item. Nobody's correction is another's: those are shown once."""
        comparable = [item.id for item, one in zip(items, picked, strict=True) if one.kind != "correction"]
        by_draw = sorted(comparable, key=lambda item: draw("double", item))
        doubled = set(by_draw[: round(self.params.double_share * len(items))])
        slots = []
        for item in items:
            slots.append(2 if item.id in doubled else 1)
            self.session.add_all(Assignment(item_id=item.id, slot=str(slot + 1)) for slot in range(slots[-1]))
            self.session.flush()  # in this order: slots are handed out from the first made
        return slots


def _pair(gold: Gold) -> frozenset[tuple[str, ...]]:
    return together([gold.better.id, gold.worse.id])


def _in_generations(judge: Values, generations: Mapping[str, str]) -> Values:
    """What a judge said of the answers, told of their generations."""
    told = dict(judge)
    if "winner" in told:
        told["winner"] = generations.get(told["winner"], told["winner"])
    if "tiers" in told:
        told["tiers"] = [[generations[one] for one in tier] for tier in told["tiers"]]
    return told
