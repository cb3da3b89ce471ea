"""How much the study spends, and the workspace it reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks import stage
from tasks.stage import UserError

STUDY = stage.STATE / "study"
CURVE_TASKS = ("classification", "translation")  # kinds whose baselines learn from examples, each by other means


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Budgets. Sizes are numbers of training examples, None: all there are."""

    budget_share: float  # of finetune.budget_tokens, for each way to fine-tune
    rates: tuple[float, ...]  # AdamW's peak rates that LoRA is tried with
    trial_share: float  # of a way's budget, for each rate tried
    wide_steps: int  # optimiser steps of the large random model, for memory alone
    sizes: tuple[int | None, ...]  # of the learning curve
    curve_steps: int  # optimiser steps of each point, at most
    curve_epochs: int  # of the examples of each point, at most
    rows: int  # test rows of each task, at most
    stories: int  # story requests among them, at most
    text_documents: int | None  # of the test split of pretraining text, for what is forgotten; None: all


WHOLE = Plan(
    budget_share=1.0, rates=(0.003, 0.01, 0.03), trial_share=0.15, wide_steps=3,
    sizes=(100, 300, 1_000, None), curve_steps=400, curve_epochs=20,
    rows=1_000, stories=24, text_documents=None,
)  # fmt: skip
QUICK = Plan(
    budget_share=0.01, rates=(0.01,), trial_share=0.5, wide_steps=1,
    sizes=(100, None), curve_steps=4, curve_epochs=1,
    rows=12, stories=2, text_documents=16,
)  # fmt: skip


def smaller(plan: Plan, share: float) -> Plan:
    """The plan with a share of its training budgets. Raises UserError where it is not above 0 and at most 1."""
    if not 0 < share <= 1:
        raise UserError(f"--share {share:g} is not allowed; allowed: above 0, at most 1")
    steps = max(1, round(plan.curve_steps * share))
    return replace(plan, budget_share=plan.budget_share * share, curve_steps=steps)


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where the chain has run; paths are absolute, for processes in folders of their own."""

    root: Path

    @property
    def params(self) -> Path:
        return self.root / stage.PARAMS_FILE

    @property
    def base(self) -> Path:
        return self.root / "models" / "base"

    @property
    def mixture(self) -> Path:
        return self.root / "data" / "mixture"

    @property
    def tokens(self) -> Path:
        return self.root / "data" / "tokens"

    def section(self, name: str) -> dict[str, Any]:
        """A section of params.yaml as it stands there."""
        import yaml

        stage.read_yaml(self.params)  # its line on what is no YAML
        held = yaml.safe_load(self.params.read_text(encoding="utf-8"))
        if not isinstance(found := held.get(name), dict):
            raise UserError(f"{self.params}: there is no section '{name}'")
        return dict(found)


def open_workspace(root: Path) -> Workspace:
    """The workspace in a folder. Raises UserError where the chain has not run as far as `mix` and `pretrain`."""
    found = Workspace(root=root.absolute())
    needed = (
        found.params,
        found.base / "model.safetensors",
        found.mixture / "test.parquet",
        found.mixture / "tokens" / "meta.json",
        found.tokens / "meta.json",
    )
    if missing := [path for path in needed if not path.exists()]:
        raise UserError(f"{missing[0].relative_to(found.root)}: no such file; run `make pipeline` first")
    return found
