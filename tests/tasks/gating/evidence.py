"""Evidence made up for tests: by default a candidate that is better in everything."""

from typing import Any

from tasks.evaluation.intervals import Score
from tasks.gating.contest import Contest, Verdicts
from tasks.gating.decision import Evidence
from tasks.gating.figures import Difference
from tasks.gating.hacking import Hacking
from tasks.gating.params import GateParams
from tasks.gating.votes import Votes

PARAMS = GateParams.model_validate(
    {
        "automatic": False, "beat_base": True, "prompts": 80, "least_votes": 20, "least_preference": 0.45,
        "most_drift": 0.1,
        "margins": {
            name: {
                "bits_per_byte": bits, "axis": 0.25, "axes": {"coherence": 1.0}, "unsafe": 0,
                "tasks": {"macro_f1": 0.04, "rouge_l": 0.04, "chrf": 4.0, "token_f1": 0.06},
            }
            for name, bits in (("champion", 0.03), ("base", 0.15))
        },
        "bootstrap": 200, "confidence": 0.95, "seed": 1,
    }
)  # fmt: skip
JUDGE, LABELLER = "heuristic-b@12345678", "heuristic-a@87654321"


def score(value: float, half: float = 0.08) -> Score:
    return Score(value=value, low=value - half, high=value + half)


def verdicts(rate: float = 0.62, *, half: float = 0.08, prompts: int = 112) -> Verdicts:
    wins = round(rate * prompts)
    return Verdicts(
        asked=112, prompts=prompts, win_rate=score(rate), length_controlled=score(rate, half), wins=wins, ties=0,
        losses=prompts - wins, confidence=0.95,
    )  # fmt: skip


def votes(preference: float = 0.5, count: int = 0) -> Votes:
    return Votes(preference=score(preference), count=count)


def contest(opponent: str = "fledgling/3", **changes: Any) -> Contest:
    figures = (Difference(name="translation_chrf", candidate=24.0, opponent=20.0, margin=4.0),)
    held = {"verdicts": verdicts(), "differences": figures, "votes": votes(), "unsafe": (1, 1), **changes}
    return Contest(opponent=opponent, **held)


def evidence(champion: Contest | None = None, base: Contest | None = None, **changes: Any) -> Evidence:
    held: dict[str, Any] = {
        "candidate": "aligned", "judge": JUDGE, "labellers": (LABELLER,), "unfit_axes": (), "is_examined": True,
        "is_champion": False, "hacking": Hacking(),
        "against": (champion or contest(), base or contest("base")),
    }  # fmt: skip
    return Evidence(**{**held, **changes})
