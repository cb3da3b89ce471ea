"""The stage `pair`: verdicts of the labelling judge and people's batches to preference pairs and thumbs."""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from tasks import stage
from tasks.evaluation.rows import request
from tasks.judging.kept import read_items, read_pairs
from tasks.judging.records import STORY, short_hash
from tasks.pairing import selection, suite
from tasks.pairing.judged import judged
from tasks.pairing.preference import NOT_FOR_TRAINING, REASONS, Found, Preference, Thumb
from tasks.pairing.reviewed import reviewed
from tasks.pairing.thumbs import without_leaks
from tasks.records import read_rows
from tasks.reviews.batch_file import Feedback, read_folder
from tasks.stage import Params, UserError

log = logging.getLogger(__name__)

HELD_OUT = ("validation", "test", "written")  # of the mixture: what is evaluated and judged on
SPLITS = ("train", "validation")


class PairParams(Params):
    """The section `pair` of params.yaml."""

    least_margin: float = Field(ge=0, le=1)  # of a judge's verdict
    judge_until: int | None = Field(ge=1)  # so many pairs of people leave the judge its share; None: all, always
    judge_share: float = Field(ge=0)  # of people's count that the judge's surest pairs may be then; its vetoes stay
    most_of_a_prompt: int = Field(ge=1)  # pairs
    longer_off_half: float = Field(ge=0, le=0.5)  # how far P(chosen is longer) may be from one half
    held_out_jaccard: float = Field(gt=0, le=1)  # of word shingles: a prompt this near to a held-out one is left out
    validation_share: float = Field(gt=0, lt=0.5)  # of the clusters of prompts
    seed: int = Field(ge=0)


def pair(
    params: PairParams,
    *,
    answers: Path,
    labelled: Path,
    feedback: Path,
    mixture: Path,
    pairs: Path,
    metrics: Path,
) -> None:
    """Makes preferences of what the judge and people said of sampled answers; people's word goes before the judge's.

    In `pairs`: train.jsonl and validation.jsonl (by the prompt's cluster), thumbs.jsonl (none of a cluster of
    validation.jsonl), manifest.json. Raises UserError where a file can't be read, no pair is left, or an expectation
    fails.
    """
    rows = read_folder(feedback)
    by_people = reviewed(rows)
    by_judge = judged(read_items(answers), read_pairs(labelled / "pairs.jsonl"), least_margin=params.least_margin)
    rejected = by_people.rejected + by_judge.rejected
    kept, clusters = _selected(by_people, by_judge, _held_out(mixture), params, rejected)
    if not kept:
        told = ", ".join(f"{count} {reason}" for reason, count in rejected.most_common() if count)
        raise UserError(f"no pair is left ({told}); a smaller pair.least_margin or more samples give some")
    written = [_row(one, clusters[one.prompt_id], params) for one in kept]
    held_back = {row["cluster"] for row in written if row["split"] == "validation"}
    thumbs = without_leaks(by_people.thumbs, clusters, held_back, rejected)
    expectations = suite.check(written, most_of_a_prompt=params.most_of_a_prompt)
    _write(pairs, written, thumbs, _manifest(rows, kept, thumbs, rejected))
    stage.write_metrics(metrics, {**_figures(kept, written, thumbs, rejected), "expectations": expectations})
    log.info("%d pairs of %d prompts, %d thumbs", len(kept), len({one.prompt_id for one in kept}), len(thumbs))


def _selected(
    by_people: Found,
    by_judge: Found,
    held_out: Mapping[str, str],
    params: PairParams,
    rejected: Counter[str],
) -> tuple[list[Preference], dict[str, str]]:
    """The preferences that stay, and the cluster of each prompt that may be learnt from."""
    found = [*by_people.preferences, *selection.without_decided(by_judge.preferences, by_people.decided, rejected)]
    found = selection.without_same_texts(found, rejected)
    clusters = selection.clusters([*found, *by_people.thumbs], held_out, jaccard=params.held_out_jaccard)
    found = selection.without_leaks(found, clusters, rejected)
    found = selection.beside_people(found, people=params.judge_until, share=params.judge_share, rejected=rejected)
    found = selection.capped(found, most=params.most_of_a_prompt, rejected=rejected)
    return selection.balanced(found, off_half=params.longer_off_half, rejected=rejected), clusters


def _held_out(mixture: Path) -> dict[str, str]:
    """The story requests and other prompts of the mixture that figures are quoted on, by their ids."""
    found: dict[str, str] = {}
    for split in HELD_OUT:
        path = mixture / f"{split}.parquet"
        if not path.exists():
            raise UserError(f"{path}: no such file; the stage mix makes it, run `dvc repro`")
        found |= {str(row["id"]): request(row) for row in read_rows(path)}
    return found


def _row(one: Preference, cluster: str, params: PairParams) -> dict[str, Any]:
    is_validation = int(short_hash([params.seed, cluster]), 16) < params.validation_share * 2**64
    return {
        "id": one.id,
        "split": "validation" if is_validation else "train",
        "prompt_id": one.prompt_id,
        "cluster": cluster,
        "kind": one.kind,
        "prompt": one.prompt,
        "chosen": one.chosen,
        "rejected": one.rejected,
        "chosen_cut": one.chosen in one.cut,
        "rejected_cut": one.rejected in one.cut,
        "weight": one.weight,
        "source": one.source,
        "margin": one.margin,
        "origin": dict(one.origin),
    }


def _write(
    folder: Path, rows: Sequence[Mapping[str, Any]], thumbs: Sequence[Thumb], manifest: Mapping[str, Any]
) -> None:
    for split in SPLITS:
        stage.write_text(folder / f"{split}.jsonl", _lines(row for row in rows if row["split"] == split))
    told = (
        {"prompt_id": one.prompt_id, "kind": one.kind, "prompt": one.prompt, "answer": one.answer,
         "desirable": one.desirable, "cut": one.cut, "weight": one.weight, "origin": dict(one.origin)}
        for one in thumbs
    )  # fmt: skip
    stage.write_text(folder / "thumbs.jsonl", _lines(told))
    stage.write_text(folder / "manifest.json", json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def _lines(rows: Any) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)


def _manifest(
    rows: Sequence[Feedback], kept: Sequence[Preference], thumbs: Sequence[Thumb], rejected: Counter[str]
) -> dict[str, Any]:
    """Where the pairs come from: judges by their ids, batches and reviewers by their counts.

    Nothing of what may not be learnt from: a batch of votes on the hold-out leaves the pairs as they are.
    """
    said = [one.origin for one in kept] + [one.origin for one in thumbs]
    used = [one for origin in said for one in origin.get("people", [origin])]
    return {
        "pairs": len(kept),
        "judges": dict(Counter(str(origin["judge"]) for origin in used if "judge" in origin)),
        "batches": dict(Counter(str(origin["batch"]) for origin in used if "batch" in origin)),
        "reviewers": dict(Counter(str(origin["reviewer"]) for origin in used if "reviewer" in origin)),
        "decisions_read": sum(row.is_for_training for row in rows),
        "rejected": {reason: rejected[reason] for reason in REASONS if reason != NOT_FOR_TRAINING},
    }


def _figures(
    kept: Sequence[Preference], rows: Sequence[Mapping[str, Any]], thumbs: Sequence[Thumb], rejected: Counter[str]
) -> dict[str, float | int | None]:
    sources = Counter(one.source for one in kept)
    splits = Counter(row["split"] for row in rows)
    return {
        "pairs": len(kept),
        "pairs_train": splits["train"],
        "pairs_validation": splits["validation"],
        "pairs_of_judge": sources["judge"],
        "pairs_of_people": sources["human"],
        "pairs_of_corrections": sources["correction"],
        "pairs_of_stories": sum(one.kind == STORY for one in kept),
        "judgements": sum(one.weight for one in kept),
        "prompts": len({one.prompt_id for one in kept}),
        "chosen_longer_share": selection.longer_share(kept),
        "thumbs_up": sum(one.desirable for one in thumbs),
        "thumbs_down": sum(not one.desirable for one in thumbs),
        **{f"rejected_{reason}": rejected[reason] for reason in REASONS},
    }


if __name__ == "__main__":
    stage.main(pair)
