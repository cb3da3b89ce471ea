"""The objective: a packed step is the mean over its examples, it can be learnt by heart, its figures are right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from model.batches import Batch, PackedBatches
from model.decoder import Decoder
from model.documents import IGNORE, read_documents
from model.lora import LoraConfig, add_lora
from model.muon import Optimiser
from model.preferences.batches import Examples, Replay
from model.preferences.judged import Judged
from model.preferences.losses import Likelihoods, PreferenceConfig, pair_losses, thumb_losses, token_divergences
from model.preferences.objective import PreferenceObjective, preference_figures
from model.schedule import Schedule
from model.training import Trainer, TrainingConfig, answer_loss
from tests.model import small
from tests.model.preferences import talks

KINDS: dict[str, dict[str, Any]] = {
    "dpo": {},
    "smoothed": {"label_smoothing": 0.1, "sft_weight": 0.3},
    "per_token": {"per_token": True, "beta": 3.0},
    "ipo": {"loss": "ipo", "beta": 0.3},
    "kto": {"loss": "kto", "desirable_weight": 1.3, "sft_weight": 0.1},
}


def example_of(judged: Judged, part: Examples, at: int) -> int:
    """Which example of the table stands at a place of a micro-batch."""
    own = part.targets[part.targets != IGNORE].split(list(part.lengths))
    wanted = [own[place].tolist() for place in part.places[at].tolist()]
    for example, members in enumerate(judged.members.tolist()):
        if [judged.documents.targets(d)[judged.documents.targets(d) != IGNORE].tolist() for d in members] == wanted:
            return example
    raise AssertionError("no such example")


def sums(model: Decoder, reference: Decoder, judged: Judged, documents: list[int]) -> Likelihoods:
    own = [talks.alone(model, judged, d) for d in documents]
    with torch.no_grad():
        known = torch.stack([talks.alone(reference, judged, d).sum() for d in documents])
    return Likelihoods(torch.stack([one.sum() for one in own]), known, torch.tensor([float(len(one)) for one in own]))


def plain_step(config: PreferenceConfig, model: Decoder, reference: Decoder, judged: Judged, batch: Batch) -> Tensor:
    """The mean loss of a step's examples, each conversation by a forward pass of its own."""
    parts = [part for part in batch.split(2) if isinstance(part, Examples)]
    examples = [example_of(judged, part, at) for part in parts for at in range(len(part.weights))]
    weights = torch.from_numpy(judged.weights[examples])
    if judged.unrelated is None:
        first, second = (sums(model, reference, judged, judged.members[examples, at].tolist()) for at in (0, 1))
        return (pair_losses(config, first, second) * weights).mean()
    assert judged.desirable is not None
    others = sums(model, reference, judged, judged.unrelated[examples].tolist())
    usual = others.ratios(per_token=False).mean().clamp(min=0).detach()
    own = sums(model, reference, judged, judged.members[examples, 0].tolist())
    marks = torch.from_numpy(judged.desirable[examples])
    return (thumb_losses(config, own, desirable=marks, usual=usual) * weights).mean()


def total(objective: PreferenceObjective, model: Decoder, batch: Batch) -> Tensor:
    """A step's loss as the training loop takes it."""
    losses = [objective(model, part.to(model.device)) for part in batch.split(2)]
    return torch.stack(losses).sum() / batch.target_count()


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_step_is_the_mean_over_its_examples(kind: str) -> None:
    config = talks.config(**KINDS[kind])
    reference, model = small.decoder(awake=True), small.decoder(awake=True, seed=2)
    judged = talks.thumbs(12) if config.loss == "kto" else talks.pairs(12, weights=[1.0, 0.25, 2.0] * 4)
    batch = talks.batches(judged, talks.reference(reference, judged)).batch(0)
    gradients = []
    for loss in (
        total(PreferenceObjective(config), model, batch),
        plain_step(config, model, reference, judged, batch),
    ):
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients.append((float(loss.detach()), [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    (packed, ours), (plain, theirs) = gradients
    assert packed == pytest.approx(plain, rel=1e-5)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * float(other.abs().max()) + 1e-6)


def test_the_kl_term_of_kto_is_of_the_whole_step() -> None:
    config = talks.config(loss="kto")
    judged, reference, model = talks.thumbs(12), small.decoder(awake=True), small.decoder(awake=True)
    with torch.no_grad():
        model.model.embed_tokens.weight[1:20] *= 1.2
    batch = talks.batches(judged, talks.reference(reference, judged)).batch(0)
    objective = PreferenceObjective(config)
    total(objective, model, batch)
    assert judged.unrelated is not None
    parts = [part for part in batch.split(2) if isinstance(part, Examples)]
    assert len(parts) > 1
    examples = [example_of(judged, part, at) for part in parts for at in range(len(part.weights))]
    others = sums(model, reference, judged, judged.unrelated[examples].tolist())
    expected = max(0.0, float((others.log_probs - others.reference).mean().detach()))
    assert objective.figures()["train/kto_kl"] == pytest.approx(expected, abs=1e-4)


def run(
    judged: Judged, config: PreferenceConfig, *, steps: int, lora: bool = False, replay: Replay | None = None
) -> tuple[Trainer, PreferenceObjective]:
    """The training loop on the first batch of some examples, again and again."""
    model = small.decoder(awake=True)
    known = talks.reference(model, judged)
    if lora:
        wanted = LoraConfig(rank=4, alpha=16.0, targets=("q_proj", "v_proj", "gate_proj", "down_proj"))
        add_lora(model, wanted, generator=torch.Generator().manual_seed(0))
    batch = talks.batches(judged, known, replay=replay).batch(0)

    class Same:
        def batch(self, index: int) -> Batch:
            parts = (replace(part, step=index) if isinstance(part, Examples) else part for part in batch.split(2))
            return replace(batch, parts=tuple(parts))  # type: ignore[call-arg]

    objective = PreferenceObjective(config)
    optimiser = replace(small.OPTIMISER, kind="adamw", adamw_lr=0.003)
    trainer = Trainer(
        model, batches=Same(), objective=objective,
        optimiser=Optimiser(model, optimiser, matmul_dtype=torch.float32),
        schedule=Schedule(steps=steps, warmup_steps=2, decay_share=0.5, final_share=0.0),
        config=TrainingConfig(
            micro_rows=2, clip_norm=1.0, evaluate_every=steps, log_every=1, patience=None, min_gain=0.0, watch="x"
        ),
        evaluate=lambda model, step: {"x": 0.0}, checkpoints=None, metrics=None,
    )  # fmt: skip
    return trainer, objective


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("kind", ["dpo", "per_token", "ipo"])
def test_one_batch_can_be_learnt_by_heart(kind: str, lora: bool) -> None:
    trainer, objective = run(talks.pairs(8), talks.config(**KINDS[kind]), steps=60, lora=lora)
    trainer.train_step()
    begun = objective.figures()
    assert begun["train/margin"] == pytest.approx(0.0, abs=1e-4)  # the policy is the reference
    assert begun["train/kl_from_reference"] == pytest.approx(0.0, abs=1e-6)
    for _ in range(59):
        trainer.train_step()
    ended = objective.figures()
    assert ended["train/accuracy"] == 1
    assert ended["train/margin"] > 0.3
    assert ended["train/preference_loss"] < begun["train/preference_loss"] / 2
    assert ended["train/kl_from_reference"] > 0


def test_thumbs_can_be_learnt_by_heart() -> None:
    trainer, objective = run(talks.thumbs(6), talks.config(loss="kto"), steps=60)
    for _ in range(60):
        trainer.train_step()
    ended = objective.figures()
    assert ended["train/accuracy"] == 1
    assert ended["train/chosen_reward"] > ended["train/rejected_reward"] + 0.5
    assert ended["train/kto_kl"] >= 0


def test_the_sft_term_keeps_the_chosen_answer_likely() -> None:
    gains = []
    for weight in (0.0, 2.0):
        trainer, objective = run(talks.pairs(8), talks.config(sft_weight=weight), steps=30)
        for _ in range(30):
            trainer.train_step()
        gains.append(objective.figures()["train/chosen_log_prob_gain_per_token"])
    assert gains[1] > gains[0] + 0.1


def test_replayed_text_counts_as_much_as_it_is_told_to(tmp_path: Path) -> None:
    documents = read_documents(small.write_tokens(tmp_path), "train")
    rows = PackedBatches(documents, context=talks.CONTEXT, rows=1, packing="whole", isolate=True, seed=1)
    judged, model = talks.pairs(12), small.decoder(awake=True)
    known = talks.reference(model, judged)
    batch = talks.batches(judged, known, replay=Replay(source=rows, share=0.5, weight=0.7)).batch(0)
    objective = PreferenceObjective(talks.config())
    with torch.no_grad():
        found = float(total(objective, model, batch))
        replayed = [part for part in batch.split(2) if not isinstance(part, Examples)]
        nats = sum(float(answer_loss(model, replace(part, counts=None))) for part in replayed)
    mean = nats / sum(part.target_count() for part in replayed)
    figures = objective.figures()
    assert figures["train/replay_loss"] == pytest.approx(mean, rel=1e-4)
    assert found == pytest.approx(figures["train/preference_loss"] + 0.7 * mean, rel=1e-4)


@torch.no_grad()
def test_figures_of_pairs_that_are_not_trained_on() -> None:
    config = talks.config(sft_weight=0.5)
    reference, model, judged = small.decoder(awake=True), small.decoder(awake=True, seed=4), talks.pairs(9)
    figures = preference_figures(model, judged, talks.reference(reference, judged), config, limit=None)
    chosen, rejected = (sums(model, reference, judged, judged.members[:, at].tolist()) for at in (0, 1))
    margins = chosen.ratios(per_token=False) - rejected.ratios(per_token=False)
    assert figures["val/margin"] == pytest.approx(float(0.5 * margins.mean()), rel=1e-4)
    assert figures["val/accuracy"] == pytest.approx(float((margins > 0).float().mean()))
    assert figures["val/loss"] == pytest.approx(float(pair_losses(config, chosen, rejected).mean()), rel=1e-4)
    assert figures["val/chosen_log_prob"] == pytest.approx(float(chosen.log_probs.mean()), rel=1e-4)
    per_token = float((rejected.log_probs / rejected.tokens).mean())
    assert figures["val/rejected_log_prob_per_token"] == pytest.approx(per_token, rel=1e-4)
    every = [
        token_divergences(talks.alone(model, judged, d).detach(), talks.alone(reference, judged, d).detach())
        for d in range(18)
    ]
    assert figures["val/kl_from_reference"] == pytest.approx(float(torch.cat(every).mean()), rel=1e-3)
    assert figures["val/sft_loss"] == pytest.approx(float(chosen.token_losses().mean()), rel=1e-4)


def test_figures_of_the_reference_itself_and_of_some_pairs() -> None:
    model, judged = small.decoder(awake=True), talks.pairs(9)
    known = talks.reference(model, judged)
    whole = preference_figures(model, judged, known, talks.config(), limit=None)
    assert whole["val/margin"] == pytest.approx(0.0, abs=1e-5)
    assert whole["val/kl_from_reference"] == pytest.approx(0.0, abs=1e-8)
    some = preference_figures(model, judged, known, talks.config(), limit=3)
    assert some["val/chosen_log_prob"] != whole["val/chosen_log_prob"]
    thumbs = preference_figures(model, judged, known, talks.config(loss="kto"), limit=None)
    assert thumbs["val/loss"] == pytest.approx(whole["val/loss"])
