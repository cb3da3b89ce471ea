"""A round of the loop: a batch goes out, is answered, comes back, and what it made stale is made anew and judged."""

import logging
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from benchmarks.loop.preferences import Preference
from benchmarks.loop.reviewers import answer_all, invite_link
from benchmarks.loop.servers import Platform
from benchmarks.loop.workspace import Workspace

log = logging.getLogger(__name__)

REVIEWERS = 3
APPROVER = "simulated approver"


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round left. stages: those that ran; seconds: from the publishing to the gate's decision."""

    number: int
    decision: str
    figures: dict[str, Any]
    stages: list[str] = field(default_factory=list)
    answers: int = 0
    votes: int = 0
    seconds: float = 0.0
    released: bool = False


class Loop:
    """Drives the rounds of one preference on a running platform."""

    def __init__(self, workspace: Workspace, platform: Platform, preference: Preference, *, seed: int) -> None:
        self._workspace, self._platform, self._preference = workspace, platform, preference
        self._seed = seed
        invite = [
            workspace.fledgling(
                "review", "invite", f"simulated reader {at + 1}", "--simulated", extra=platform.environment
            )
            for at in range(REVIEWERS)
        ]
        self._links = [invite_link(said) for said in invite]

    def first(self) -> Round:
        """The chain's own result, before anybody reviewed: the first champion, whatever the gate says beside base."""
        figures = self._workspace.figures(self._preference)
        because = () if figures["gate"]["decision"] == "promote" else ("--despite", "the driven loop needs a champion")
        self._workspace.fledgling("promote", *because, extra=self._platform.mlflow)
        self._workspace.commit("The first champion")
        return Round(number=0, decision=figures["gate"]["decision"], figures=figures, released=True)

    def round(self, number: int) -> Round:
        """One more batch, and where it is asked for a batch of votes on the hold-out."""
        began = time.time()
        answers, stages = self._batch(f"round{number}", source=None)
        votes = 0
        if not self._preference.is_seen:
            log.info("%s: the gate said '%s' before the votes", self._preference.name, self._decision())
            votes, more = self._batch(f"votes{number}", source="gated")
            stages += [f"{name} (votes)" for name in more]
        decision, seconds = self._decision(), time.time() - began
        released = decision == "promote"
        if released:
            self._platform.approve(self._platform.run_of("release", after=began), by=APPROVER)
        self._workspace.commit(f"Round {number}")
        figures = self._workspace.figures(self._preference)
        return Round(
            number=number, decision=decision, figures=figures, stages=stages, answers=answers, votes=votes,
            seconds=seconds, released=released,
        )  # fmt: skip

    def _batch(self, name: str, *, source: str | None) -> tuple[int, list[str]]:
        """A batch from its publishing to the end of the run that it set off; how many answers, and which stages ran."""
        began = time.time()
        published = self._platform.start("publish-reviews/publish-reviews", {"name": name, "source": source})
        self._platform.wait(published, "COMPLETED")
        answers = answer_all(self._links, self._preference, seed=self._seed + int(began) % 1000)
        log.info("%s: %d answers to %s by simulated reviewers", self._preference.name, answers, name)
        self._platform.wait(self._platform.run_of("collect-reviews", after=began), "COMPLETED")
        improved: UUID = self._platform.run_of("improve", after=began)
        self._platform.wait(improved, "COMPLETED")
        stages = self._platform.stages(improved)
        log.info("%s: %s set off %s", self._preference.name, name, ", ".join(stages))
        return answers, stages

    def _decision(self) -> str:
        return str(self._workspace.metrics("gate")["decision"])
