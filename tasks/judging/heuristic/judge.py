"""The heuristic judge: reads, measures, grades; the same verdict each time and in either order."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

from tasks.cleaning.safety import Safety
from tasks.cleaning.words import split_words
from tasks.judging.heuristic.axes import Evidence, grades, nothing
from tasks.judging.heuristic.english import faults_in
from tasks.judging.heuristic.measures import distinct_words, measure_all, repetition
from tasks.judging.heuristic.reading import MOST_CHARACTERS, Reading, read
from tasks.judging.heuristic.reasons import is_unsafe, why_pair, why_ranking
from tasks.judging.heuristic.revision import revision
from tasks.judging.heuristic.rules import danger
from tasks.judging.heuristic.shares import shares
from tasks.judging.heuristic.store import Learnt, load_learnt
from tasks.judging.injection import injection
from tasks.judging.judge import JudgeId, check_lists
from tasks.judging.records import Grade, Item, Pair, PairRecord, RankRecord, ScoreRecord, Status, Winner
from tasks.judging.rubric import Rubric

KNOWN_WORDS = 3  # granted to every text, so that one strange word of a short answer makes it no foreign one
LEAST_WORDS = 8  # of a story
MOST_REPEATED, LEAST_DISTINCT = 0.5, 0.25  # of a story; over 4,710 real ones .17 at most and .46 at least
AT_ONCE = 500  # answers that are measured together: some 100,000 small texts for the language model
REMEMBERED = 50_000  # answers whose grades are kept
SAME = 1e-9  # levels: what rounding may do
FIRST_FAILURE: tuple[Status, ...] = ("injection_flag", "unsupported")


class HeuristicJudge:
    """An ensemble of a safety veto, measures against percentiles of good stories and a language model of its own."""

    def __init__(self, learnt: Learnt, *, name: str, weights_hash: str) -> None:
        self.learnt = learnt
        self._id = JudgeId(name=name, revision=revision(), weights_hash=weights_hash)
        self._safety = Safety(learnt.policy)
        self._known: dict[tuple[str, str], ScoreRecord] = {}

    @property
    def id(self) -> JudgeId:
        return self._id

    @property
    def source(self) -> Literal["LLM_JUDGE", "CODE"]:
        return "CODE"

    def score(self, items: Sequence[Item], rubric: Rubric) -> list[ScoreRecord]:
        """Grades each distinct answer once."""
        keys = [(item.id, rubric.hash) for item in items]
        new = {key: item for key, item in zip(keys, items, strict=True) if key not in self._known}
        if len(self._known) + len(new) > REMEMBERED:
            self._known.clear()
            new = dict(zip(keys, items, strict=True))
        for keys_at_once in _portions(list(new), AT_ONCE):
            judged = self._judge([new[key] for key in keys_at_once], rubric)
            self._known.update(zip(keys_at_once, judged, strict=True))
        return [self._known[key] for key in keys]

    def compare(self, pairs: Sequence[Pair], rubric: Rubric) -> list[PairRecord]:
        """The better overall, a tie within the margin. The order can't matter: each answer is graded by itself."""
        scores = self.score([item for pair in pairs for item in (pair.first, pair.second)], rubric)
        margins = [self._margin(pair.first, pair.second) for pair in pairs]
        return [self._pair(*each) for each in zip(scores[::2], scores[1::2], margins, strict=True)]

    def rank(self, lists: Sequence[Sequence[Item]], rubric: Rubric) -> list[RankRecord]:
        """Tiers from the best: an answer that is within the margin of the best of a tier belongs to it."""
        check_lists(lists)
        scores = iter(self.score([item for items in lists for item in items], rubric))
        return [self._ranked([(item, next(scores)) for item in items]) for items in lists]

    def _judge(self, items: Sequence[Item], rubric: Rubric) -> list[ScoreRecord]:
        """What can be said without measuring first; the rest is measured together, which is faster."""
        readings = [read(item) for item in items]
        records = [self._without_measures(*each, rubric) for each in zip(items, readings, strict=True)]
        open_ = [at for at, record in enumerate(records) if record is None]
        learnt = self.learnt
        measured = measure_all(
            [readings[at] for at in open_], model=learnt.model, knowledge=learnt.knowledge, params=learnt.params
        )
        for at, own in zip(open_, measured, strict=True):
            found = self._grades(items[at], readings[at], own, rubric)
            records[at] = ScoreRecord(judge=str(self.id), item=items[at].id, status="ok", grades=found)
        return [record for record in records if record is not None]

    def _without_measures(self, item: Item, reading: Reading, rubric: Rubric) -> ScoreRecord | None:
        """Empty answers, attempts on the judge and what can't be read; None where it has to be measured."""
        if not reading.words:
            empty = nothing(rubric.axes(item.part), "The answer is empty, or has no word in it.")
            return ScoreRecord(judge=str(self.id), item=item.id, status="ok", grades=empty)
        if words := injection(item.answer, prompt=item.prompt):
            return self._failed(item, "injection_flag", f"The answer speaks to its judge ({words}).")
        if item.kind == "story" and _is_loop(reading.words):
            loop = nothing(rubric.axes(item.part), "The same words again and again: nothing is told.")
            return ScoreRecord(judge=str(self.id), item=item.id, status="ok", grades=loop)
        if reason := self._unreadable(item, reading):
            return self._failed(item, "unsupported", reason)
        return None

    def _failed(self, item: Item, status: Status, reason: str) -> ScoreRecord:
        return ScoreRecord(judge=str(self.id), item=item.id, status=status, reason=reason)

    def _unreadable(self, item: Item, reading: Reading) -> str:
        """Why this judge can't judge an answer; empty where it can.

        A story that can't be read is known not to be what was asked for, if the request can be read: it is judged.
        """
        vocabulary, most = self.learnt.knowledge.vocabulary, self.learnt.params.most_unknown
        if item.kind == "story":
            strange = sum(not vocabulary.knows(word) for word in split_words(item.prompt))
            return (
                "The request is in no language that this judge knows." if strange > len(item.prompt.split()) / 2 else ""
            )
        if not item.references and not item.document:
            return "There is no reference and no document to judge the answer by."
        for name, words in (("request", split_words(item.prompt)), ("answer", reading.words)):
            unknown = vocabulary.unknown_share(words, allowance=KNOWN_WORDS)
            if unknown > most:
                return f"{unknown:.0%} of the words of the {name} are in none of the stories that this judge knows."
        return ""

    def _grades(
        self, item: Item, reading: Reading, measured: Mapping[str, float], rubric: Rubric
    ) -> Mapping[str, Grade]:
        found = self._safety.check(reading.whole, split_words(reading.whole))
        evidence = Evidence(
            measured=measured,
            usual=self.learnt.usual[item.part],
            shares=shares(item, reading, self.learnt.knowledge.vocabulary),
            unsafe=f"{found.category} ({found.shown})" if found else danger(reading.whole) or "",
            broken=faults_in(reading.own_sentences),
            is_too_short=item.kind == "story" and len(reading.words) < LEAST_WORDS,
            breaks_off=item.kind == "story" and len(item.answer) <= MOST_CHARACTERS and reading.breaks_off,
        )
        return grades(evidence, rubric.axes(item.part))

    def _margin(self, first: Item, second: Item) -> float:
        """Levels up to which two answers are equal: the less they have in common, the more differs by chance."""
        words = [Counter(split_words(item.answer[:MOST_CHARACTERS])) for item in (first, second)]
        most = max(sum(each.values()) for each in words)
        shared = sum((words[0] & words[1]).values())
        return self.learnt.params.tie_margin * (1 - shared / most if most else 0.0)

    def _difference(self, first: ScoreRecord, second: ScoreRecord) -> float:
        """By how many levels the first is better; 4 where only the second is unsafe, whatever else it has."""
        if is_unsafe(first) != is_unsafe(second):
            return -4.0 if is_unsafe(first) else 4.0
        return self._overall(first) - self._overall(second)

    def _overall(self, record: ScoreRecord) -> float:
        """The axes' mean as weighted for comparisons."""
        weights = {name: self.learnt.params.axis_weights.get(name, 1.0) for name in record.grades}
        return sum(weights[name] * grade.score for name, grade in record.grades.items()) / sum(weights.values())

    def _pair(self, first: ScoreRecord, second: ScoreRecord, margin: float) -> PairRecord:
        judge = str(self.id)
        if failed := _failed([first, second]):
            return PairRecord(
                judge=judge, first=first.item, second=second.item, status=failed.status, reason=failed.reason
            )
        axes = {name: _winner(first.grades[name].score - second.grades[name].score, margin) for name in first.grades}
        difference = self._difference(first, second)
        winner = _winner(difference, margin)
        return PairRecord(
            judge=judge, first=first.item, second=second.item, status="ok", winner=winner, margin=difference / 4,
            orders=(winner, winner), axes=axes, reason=why_pair(first, second, axes, winner),
        )  # fmt: skip

    def _place(self, record: ScoreRecord) -> tuple[bool, float, str]:
        return is_unsafe(record), -self._overall(record), record.item

    def _ranked(self, answers: Sequence[tuple[Item, ScoreRecord]]) -> RankRecord:
        judge, items = str(self.id), tuple(item.id for item, _ in answers)
        if failed := _failed([record for _, record in answers]):
            return RankRecord(judge=judge, items=items, status=failed.status, reason=failed.reason)
        tiers = self._tiers(answers)
        best = [answers[tier[0]] for tier in tiers]
        steps = [self._pair(one[1], next_[1], self._margin(one[0], next_[0])) for one, next_ in pairwise(best)]
        return RankRecord(
            judge=judge, items=items, status="ok", tiers=tuple(tuple(items[at] for at in tier) for tier in tiers),
            reason=why_ranking(tiers, [record for _, record in answers], steps),
        )  # fmt: skip

    def _tiers(self, answers: Sequence[tuple[Item, ScoreRecord]]) -> list[list[int]]:
        """Places in the list: the best tier first, and in each the best answer first."""
        tiers: list[list[int]] = []
        for at in sorted(range(len(answers)), key=lambda at: self._place(answers[at][1])):
            item, record = answers[at]
            best = answers[tiers[-1][0]] if tiers else None
            if best and _winner(self._difference(best[1], record), self._margin(best[0], item)) == "tie":
                tiers[-1].append(at)
            else:
                tiers.append([at])
        return tiers


def load_heuristic(folder: Path) -> HeuristicJudge:
    """The judge in a folder, by the folder's name. Raises UserError where there is none."""
    learnt = load_learnt(folder)
    return HeuristicJudge(learnt, name=folder.name, weights_hash=_hash_of(folder))


def _hash_of(folder: Path) -> str:
    """SHA-256 of the folder's files in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _is_loop(words: Sequence[str]) -> bool:
    """Whether a text is some words over and over, from which no story can be told."""
    if len(words) < LEAST_WORDS:
        return False
    return repetition(words) >= MOST_REPEATED or distinct_words(words) <= LEAST_DISTINCT


def _portions(keys: Sequence[tuple[str, str]], most: int) -> Iterator[Sequence[tuple[str, str]]]:
    return (keys[at : at + most] for at in range(0, len(keys), most))


def _failed(records: Sequence[ScoreRecord]) -> ScoreRecord | None:
    """The record that keeps them from being compared: an attempt on the judge before one that it can't read."""
    for status in FIRST_FAILURE:
        for record in sorted(records, key=lambda each: each.item):
            if record.status == status:
                return record
    return None


def _winner(difference: float, margin: float) -> Winner:
    if abs(difference) <= max(margin, SAME):
        return "tie"
    return "first" if difference > 0 else "second"
