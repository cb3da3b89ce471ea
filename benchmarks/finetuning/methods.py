"""Full fine-tuning, LoRA and QLoRA on one budget: what each trains, takes, reaches and forgets."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.finetuning.plan import STUDY, Plan, Workspace
from benchmarks.finetuning.runs import Figures, Run, changed, finetuned
from benchmarks.finetuning.scoring import Scoring, by_task
from benchmarks.row import Row

log = logging.getLogger(__name__)

LARGEST_SHARE = 0.05  # of the parameters, that LoRA may train
WIDE: dict[str, Any] = {"d_model": 512, "n_layers": 8, "n_heads": 8, "n_kv_heads": 8, "d_head": 64, "d_ff": 1536}

Ways = dict[str, dict[str, Any]]  # what each way changes in the section `finetune`


def compare_methods(plan: Plan, workspace: Workspace, scoring: Scoring) -> Figures:
    """Every way to fine-tune, trained, measured and scored; `baselines` beside them."""
    section = workspace.section("finetune")
    section = changed(section, {"budget_tokens": int(section["budget_tokens"] * plan.budget_share), "tasks": None})
    ways = _ways(section, workspace)
    rates = {name: _best_rate(name, changed(section, ways[name]), plan, workspace) for name in ("lora", "lora_all")}
    rates["qlora"] = {"chosen": rates["lora_all"]["chosen"], "tried": None}  # the same matrices and rank
    runs = {}
    for name, change in ways.items():
        own = {"optimiser": {"adamw_lr": rates[name]["chosen"]}} if name in rates else {}
        runs[name] = finetuned(name, changed(changed(section, change), own), workspace)
    wide = _wide_memory(section, ways, plan, workspace)
    found = _scores({name: run.model for name, run in runs.items()}, plan, workspace, scoring)
    table = [
        _line(name, run) | found["models"][name] | {"peak_rss_mib_wide": wide.get(name)} for name, run in runs.items()
    ]
    for line in table:
        line["rates_tried"] = rates.get(str(line["name"]), {}).get("tried")
    return {"methods": table, "baselines": found["baselines"], "base_bits_per_byte": found["base"], "wide": WIDE}


def _ways(section: Mapping[str, Any], workspace: Workspace) -> Ways:
    from model.nf4 import LAYER_MATRICES

    adamw = {"method": "lora", "base_weights": "fp32", "optimiser": {"kind": "adamw"}}
    rank = _widest_rank(workspace)
    scale = section["lora"]["alpha"] / section["lora"]["rank"]
    everywhere = {"lora": {"rank": rank, "alpha": scale * rank, "targets": list(LAYER_MATRICES)}}
    return {
        "full": {"method": "full", "base_weights": "fp32"},
        "lora": adamw,
        "lora_all": adamw | everywhere,
        "qlora": adamw | everywhere | {"base_weights": "nf4"},
    }


def _widest_rank(workspace: Workspace) -> int:
    """The largest rank on all matrices of the layers that trains less than LARGEST_SHARE of the parameters."""
    from model.checkpoint import load_model
    from model.nf4 import LAYER_MATRICES, layer_matrices

    model = load_model(workspace.base)
    sides = [module.in_features + module.out_features for module in layer_matrices(model, LAYER_MATRICES).values()]  # type: ignore[operator]
    return max(1, int((LARGEST_SHARE * model.parameter_count() - 1) // sum(sides)))


def _best_rate(name: str, section: Mapping[str, Any], plan: Plan, workspace: Workspace) -> Figures:
    """AdamW's rate with the lowest validation loss after a short run; the first where only one is tried."""
    if len(plan.rates) == 1:
        return {"chosen": plan.rates[0], "tried": None}
    budget = int(section["budget_tokens"] * plan.trial_share)
    tried = {}
    for rate in plan.rates:
        trial = changed(section, {"budget_tokens": budget, "optimiser": {"adamw_lr": rate}})
        tried[rate] = finetuned(f"{name}_rate_{rate:g}", trial, workspace).figures["val_loss"]
    return {
        "chosen": min(tried, key=lambda rate: tried[rate]),
        "tried": {f"{rate:g}": loss for rate, loss in tried.items()},
    }


def _line(name: str, run: Run) -> Figures:
    figures = run.figures
    lora = run.section["method"] == "lora"
    return {
        "name": name,
        "targets": list(run.section["lora"]["targets"]) if lora else None,
        "rank": run.section["lora"]["rank"] if lora else None,
        "base_weights": run.section["base_weights"],
        "optimiser": run.section["optimiser"]["kind"],
        "rate": run.section["optimiser"]["adamw_lr"] if lora else run.section["optimiser"]["muon_lr"],
        "parameters": figures["parameters"],
        "parameters_trained": figures["parameters_trained"],
        "share_trained": round(figures["parameters_trained"] / figures["parameters"], 5),
        "budget_tokens": run.section["budget_tokens"],
        "steps": figures["train_steps"],
        "seconds": round(run.timings["seconds"], 1),
        "peak_rss_mib": round(run.timings["peak_rss_mib"], 1),
        "tokens_per_s": round(run.tokens_per_s, 1),
        "val_loss": figures["val_loss"],
    }


def _wide_memory(section: Mapping[str, Any], ways: Ways, plan: Plan, workspace: Workspace) -> dict[str, float]:
    """Peak RSS in MiB of some steps on a random model large enough for its weights to count beside torch's own."""
    base = _wide_model(workspace)
    small = {
        "budget_tokens": plan.wide_steps * section["batch_tokens"],
        "evaluations": 1, "evaluation_documents": 1, "final_evaluation_documents": 1,
        "sampling": {"max_tokens": 1}, "compile": "off",
    }  # fmt: skip
    return {
        name: round(
            finetuned(f"{name}_wide", changed(changed(section, change), small), workspace, base=base).timings[
                "peak_rss_mib"
            ],
            1,
        )
        for name, change in ways.items()
    }


def _wide_model(workspace: Workspace) -> Path:
    import torch

    from model.checkpoint import load_model, save_model
    from model.decoder import Decoder, initialise

    folder = STUDY / "wide_base"
    if not (folder / "model.safetensors").exists():
        model = Decoder(replace(load_model(workspace.base).config, **WIDE))
        initialise(model, generator=torch.Generator().manual_seed(1))
        save_model(folder, model, tokenizer=workspace.base / "tokenizer.json")
    return folder


def _scores(models: Mapping[str, Path], plan: Plan, workspace: Workspace, scoring: Scoring) -> Figures:
    """Headline figures of every task and bits per byte, of the models and of the baselines."""
    import torch

    from model.checkpoint import load_model
    from model.documents import read_documents
    from model.scoring import bits_per_byte
    from tasks.evaluation.answering import respondents
    from tasks.evaluation.baselines import BASELINES
    from tasks.evaluation.task_scores import HEADLINE
    from tasks.evaluation.task_suite import evaluate_tasks

    torch.set_num_threads(scoring.threads)
    decoders = {name: load_model(folder) for name, folder in models.items()}
    ways = {
        name: [replace(way, name=name) for way in respondents(folder, decoders[name], scoring.suite, seed=scoring.seed)]
        for name, folder in models.items()
    }
    tasks = scoring.tasks(workspace.mixture)
    figures = evaluate_tasks(tasks, ways, scoring.suite, scoring.bootstrap).figures
    text = read_documents(workspace.tokens, "test")
    before = bits_per_byte(load_model(workspace.base), text, limit=plan.text_documents)
    headlines = {task.name: HEADLINE[task.kind] for task in tasks}
    own = {}
    for name, decoder in decoders.items():
        forgotten = bits_per_byte(decoder, text, limit=plan.text_documents) - before
        own[name] = {"tasks": by_task(figures, name, headlines), "forgotten_bits_per_byte": round(forgotten, 5)}
    names = dict.fromkeys(name for lines in BASELINES.values() for name in lines)
    baselines = {name: found for name in names if (found := by_task(figures, name, headlines))}
    return {"models": own, "baselines": baselines, "base": round(before, 5)}


def rows_of(methods: list[Figures]) -> list[Figures]:
    """What the methods say of LoRA beside full, in the form of `make bench`."""
    by_name = {line["name"]: line for line in methods}
    full = by_name["full"]
    rows = []
    for name in (name for name in by_name if name != "full"):
        own = by_name[name]
        rows += [
            _row(f"{name}_parameters_trained", "parameters", own, full, "parameters_trained", bar=1 / LARGEST_SHARE),
            _row(f"{name}_peak_memory", "MiB", own, full, "peak_rss_mib", bar=1.0),
            _row(f"{name}_peak_memory_wide", "MiB", own, full, "peak_rss_mib_wide", bar=1.0),
        ]
    return [{**asdict(row), "ratio": row.ratio, "reached": row.reached} for row in rows]


def _row(name: str, unit: str, own: Figures, full: Figures, key: str, *, bar: float) -> Row:
    return Row(
        name=name,
        unit=unit,
        value=own[key],
        peer="full fine-tuning",
        peer_value=full[key],
        bar=bar,
        lower_is_better=True,
    )
