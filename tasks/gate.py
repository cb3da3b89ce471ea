"""The stage `gate`: may the newest model take the champion's place? promote, undecided or rejected, with reasons."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import stage
from tasks.cleaning.safety import safety_policy
from tasks.dvc_hashes import dvc_md5
from tasks.evaluation.intervals import Bootstrap
from tasks.gating import evidence as gathered
from tasks.gating import figures, hacking, told
from tasks.gating.champion import ANSWERS, CANDIDATE, NAME, Champion, read_answers, read_champion, sha256_of
from tasks.gating.decision import Evidence, decide
from tasks.gating.evidence import BASE, Player, Said
from tasks.gating.params import GateParams
from tasks.judging.configured import HEURISTICS, configured_judge
from tasks.judging.kept import read_items, read_pairs, read_scores, write_lines
from tasks.judging.records import Item, PairRecord, ScoreRecord
from tasks.judging.rubric import Rubric, load_rubric
from tasks.reviews.batch_file import Feedback, read_folder
from tasks.stage import Excerpt, UserError

log = logging.getLogger(__name__)


class _Judge(Excerpt):
    """What is read of the sections `judge` and `label`."""

    judge: str


class _Rows(Excerpt):
    """How many rows `evaluate` asks for; another number is another hold-out."""

    rows: int
    written_rows: int
    stories: int


class _Evaluation(Excerpt):
    """What is read of the section `evaluate`."""

    tasks: _Rows


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the stage `judge` left. judge: the id of the accepting one."""

    answers: Sequence[Item]
    scores: Sequence[ScoreRecord]
    pairs: Sequence[PairRecord]
    judge: str


@dataclass(frozen=True, kw_only=True)
class Judges:
    """The judges by their names, and what they need. rubric: what they judge by."""

    accepting: str
    labelling: str
    folder: Path
    verdicts: Path
    rubric: Rubric

    @classmethod
    def of_params(cls, *, folder: Path, verdicts: Path, rubric: Rubric) -> "Judges":
        accepting, labelling = (stage.load_params(_Judge, section).judge for section in ("judge", "label"))
        return cls(accepting=accepting, labelling=labelling, folder=folder, verdicts=verdicts, rubric=rubric)


def gate(
    params: GateParams,
    *,
    model: Path,
    judged: Path,
    evaluated: Path,
    scorecard: Path,
    labelled: Path,
    pairs: Path,
    feedback: Path,
    champion: Path,
    mixture: Path,
    clean: Path,
    judges: Path,
    rubric: Path,
    verdicts: Path,
    gated: Path,
    metrics: Path,
    page: Path,
) -> None:
    """Compares the model with the champion and with base on the hold-out, and decides.

    In `gated`: candidate.json and answers.jsonl, which a promotion makes the champion's files, and `compared`: the
    compared answers and what the accepting judge said of them, as `judge` writes it. Raises UserError where the
    accepting judge labelled what a model learnt from, or the champion's files are torn.
    """
    found, labellers = read_verdicts(judged), read_labellers(labelled, pairs)
    refuse_a_labelling_judge(found.judge, labellers)
    measured, held = json.loads(evaluated.read_text(encoding="utf-8")), read_champion(champion)
    holdout = figures.holdout_hash(mixture, clean, stage.load_params(_Evaluation, "evaluate").tasks.model_dump())
    ours, base = (gathered.player(name, found.answers, measured, holdout=holdout) for name in (model.name, BASE))
    theirs = gathered.champion_player(held, read_answers(champion)) if held else base
    asked = Judges.of_params(folder=judges, verdicts=verdicts, rubric=load_rubric(rubric))
    said = _said(found, asked, ours, theirs, read_folder(feedback))
    own = _candidate(model, ours, gated)
    evidence = _evidence(
        params, found, asked, said, players=(ours, theirs, base), labellers=labellers,
        examined=json.loads(scorecard.read_text(encoding="utf-8")),
        is_champion=held is not None and held.model_md5 == own.model_md5,
    )  # fmt: skip
    decision = decide(evidence, params)
    _write_compared(gated / "compared", said, [ours, theirs, base])
    stage.write_metrics(metrics, told.gate_figures(evidence, decision))
    stage.write_text(page, told.gate_markdown(evidence, decision))
    log.info("%s: %s", decision.outcome, "; ".join(decision.reasons))


def read_verdicts(folder: Path) -> Judged:
    """What `judge` left. Raises UserError where it is of no judge, or of two."""
    scores, pairs = read_scores(folder / "scores.jsonl"), read_pairs(folder / "pairs.jsonl")
    judges = sorted({record.judge for record in scores} | {record.judge for record in pairs})
    if len(judges) != 1:
        raise UserError(f"{folder}: verdicts of {len(judges)} judges ({', '.join(judges)}); `dvc repro judge` asks one")
    return Judged(answers=read_items(folder / "answers.jsonl"), scores=scores, pairs=pairs, judge=judges[0])


def read_labellers(labelled: Path, pairs: Path) -> tuple[str, ...]:
    """The ids of all judges that labelled what the candidate learnt from."""
    manifest = json.loads((pairs / "manifest.json").read_text(encoding="utf-8"))
    scored = {record.judge for record in read_scores(labelled / "scores.jsonl")}
    compared = {record.judge for record in read_pairs(labelled / "pairs.jsonl")}
    return tuple(sorted(scored | compared | set(manifest["judges"])))


def refuse_a_labelling_judge(judge: str, labellers: Sequence[str]) -> None:
    """Raises UserError where the accepting judge labelled what is to be accepted."""
    if judge in labellers:
        raise UserError(
            f"the accepting judge {judge} labelled what the candidate learnt from; name another one in judge.judge "
            "or label.judge of params.yaml"
        )


def _said(found: Judged, judges: Judges, candidate: Player, champion: Player, feedback: Sequence[Feedback]) -> Said:
    """What was said of all three models' answers; of a champion's that is not of this chain the judge is asked."""
    scores, pairs = list(found.scores), list(found.pairs)
    if champion.told != BASE:
        with configured_judge(judges.accepting, judges=judges.folder, verdicts=judges.verdicts) as accepting:
            if str(accepting.id) != found.judge:
                raise UserError(f"judge.judge is {accepting.id}, the verdicts are of {found.judge}; `dvc repro judge`")
            more_scores, more_pairs = gathered.judged_by(accepting, candidate, champion, judges.rubric)
        scores, pairs = [*scores, *more_scores], [*pairs, *more_pairs]
    return Said(scores=scores, pairs=pairs, feedback=feedback)


def _evidence(
    params: GateParams, found: Judged, judges: Judges, said: Said, *, players: tuple[Player, Player, Player],
    labellers: tuple[str, ...], examined: Mapping[str, Any], is_champion: bool,
) -> Evidence:  # fmt: skip
    """players: the candidate, the champion (base where there is none), base."""
    candidate, champion, base = players
    bootstrap = Bootstrap(resamples=params.bootstrap, confidence=params.confidence, seed=params.seed)
    policy = safety_policy()
    opponents = [(base, params.margins.base)]
    if champion is not base:
        opponents.insert(0, (champion, params.margins.champion))
    against = tuple(
        gathered.contest(candidate, one, said, margins=margins, safety=policy, bootstrap=bootstrap)
        for one, margins in opponents
    )
    votes = against[0].votes
    is_examined, unfit = gathered.unfit_axes(examined, found.judge, _of(candidate, said.scores))
    return Evidence(
        candidate=candidate.told, judge=found.judge, labellers=labellers, against=against, unfit_axes=unfit,
        is_examined=is_examined, is_champion=is_champion,
        hacking=hacking.look_for(
            candidate.answers, champion.answers, labelled=_by_labeller(judges, candidate, champion),
            accepted=said.scores, votes=votes if votes.count >= params.least_votes else None,
            beside_base=champion is base, most_drift=params.most_drift, bootstrap=bootstrap,
        ),
    )  # fmt: skip


def _of(player: Player, scores: Sequence[ScoreRecord]) -> list[ScoreRecord]:
    """The grades of a model's answers."""
    own = {item.id for item in player.answers}
    return [record for record in scores if record.item in own]


def _by_labeller(judges: Judges, candidate: Player, champion: Player) -> list[ScoreRecord]:
    """The labelling judge's grades of both models' answers; none where it costs money: a judge behind an endpoint."""
    if judges.labelling not in HEURISTICS:
        return []
    items = [*candidate.on_prompts_of(champion), *champion.on_prompts_of(candidate)]
    with configured_judge(judges.labelling, judges=judges.folder, verdicts=judges.verdicts) as judge:
        return judge.score(items, judges.rubric)


def _candidate(model: Path, player: Player, gated: Path) -> Champion:
    """Writes the candidate as a promotion will need it."""
    answers = gated / ANSWERS
    write_lines(answers, player.answers)
    own = Champion(
        name=NAME, version=None, model=player.told, model_md5=dvc_md5(model), content_key=None,
        dvc_lock_hash=None, git_commit=None, answers_sha256=sha256_of(answers), holdout=player.holdout,
        figures=player.figures,
    )  # fmt: skip
    stage.write_text(gated / CANDIDATE, own.text)
    return own


def _write_compared(folder: Path, said: Said, players: Sequence[Player]) -> None:
    """The compared answers and their grades; the verdicts between the first two models, which people may vote on.

    players: the candidate, whom it would replace, base.
    """
    answers = {(item.by, item.prompt_id): item for player in players for item in player.answers}
    ids = {item.id for item in answers.values()}
    write_lines(folder / "answers.jsonl", answers.values())
    write_lines(folder / "scores.jsonl", {one.item: one for one in said.scores if one.item in ids}.values())
    ours, theirs = ({item.id for item in player.answers} for player in players[:2])
    pairs = {(one.first, one.second): one for one in said.pairs if one.first in ours and one.second in theirs}
    write_lines(folder / "pairs.jsonl", pairs.values())


if __name__ == "__main__":
    stage.main(gate)
