"""`dvc repro` and its kin on the whole chain: no server, the same bytes everywhere, only what is stale."""

import json
import socket
from typing import Any

import pytest
import yaml

from tasks.report import metrics_file
from tests.e2e.workspace import STAGES, Done, Workspace, comments, from_stage_on

UP_TO_DATE = "Data and pipelines are up to date."


def ran(printed: str) -> list[str]:
    """The stages that DVC ran, in order."""
    return [stage for line in printed.splitlines() for stage in STAGES if line == f"Running stage '{stage}':"]


def test_a_stage_imports_neither_prefect_nor_mlflow(made: tuple[Workspace, str]) -> None:
    workspace, printed = made
    assert set(ran(printed)) == set(STAGES)
    assert not (workspace.folder.parent / "imported").exists()


def test_nothing_is_left_in_the_home_folder_or_in_git(chain: Workspace) -> None:
    home = chain.folder.parent / "home"
    assert [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()] == []
    assert chain.git("status", "--porcelain") == ""
    assert chain.processes() == []


@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("metrics/prepare.json", ["records_in", "records_kept", "near_duplicate_share", "rejected_unsafe"]),
        ("metrics/tokenize.json", ["vocabulary_size", "bytes_per_token", "round_trip_errors"]),
        ("metrics/pretrain.json", ["parameters", "train_tokens", "val_bits_per_byte"]),
        ("metrics/judge.json", ["aligned_vs_finetuned_win_rate", "base_grammar_score", "judge_coverage"]),
        ("metrics/align.json", ["pairs", "accuracy", "margin", "kl_from_reference", "length_ratio"]),
        (
            "metrics/judge_scorecard.json",
            [f"heuristic_{name}_corruption_accuracy{end}" for name in "ab" for end in ("", "_low", "_high", "_passed")],
        ),
        (
            "metrics/evaluate.json",
            [
                *("base_test_bits_per_byte", "base_written_bits_per_byte", "ngram_test_bits_per_byte"),
                *("ngram_written_bits_per_byte", "xz_test_bits_per_byte", "base_grammar_accuracy", "base_distinct_2"),
                "base_memorised_share",
            ],
        ),
        ("var/timings/pretrain.json", ["seconds", "peak_rss_mib", "train_tokens_per_s"]),
        ("var/timings/prepare.json", ["seconds", "peak_rss_mib", "mb_per_s"]),
        ("var/timings/tokenize.json", ["seconds", "peak_rss_mib", "mb_per_s"]),
    ],
)
def test_the_figures_that_others_read_are_there(chain: Workspace, file: str, keys: list[str]) -> None:
    found = chain.json(file)
    assert {key: type(found.get(key)) for key in keys if not isinstance(found.get(key), int | float)} == {}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_leaves_figures_and_timings_that_do_not_mix(chain: Workspace, stage: str) -> None:
    metrics, timings = chain.json(str(metrics_file(stage))), chain.json(f"var/timings/{stage}.json")
    assert {type(item) for value in metrics.values() if isinstance(value, list) for item in value} <= {str}  # names
    assert not [key for key, value in metrics.items() if isinstance(value, dict)]
    assert {"seconds", "peak_rss_mib"} <= set(timings)
    assert set(metrics).isdisjoint(timings)


def test_prepares_counts_add_up(chain: Workspace) -> None:
    found = chain.json("metrics/prepare.json")
    rejected = sum(count for key, count in found.items() if key.startswith("rejected_"))
    assert found["records_in"] == found["records_kept"] + rejected == chain.json("metrics/ingest.json")["records"]
    splits = ("train", "validation", "test", "written", "judge_a", "judge_b")
    assert found["records_kept"] == sum(found[f"records_{split}"] for split in splits)


def test_a_second_repro_runs_nothing(chain: Workspace) -> None:
    assert chain.dvc("status").strip() == UP_TO_DATE
    before = (chain.folder / "dvc.lock").read_bytes()
    printed = chain.dvc("repro")
    assert ran(printed) == []
    assert UP_TO_DATE in printed
    assert (chain.folder / "dvc.lock").read_bytes() == before


@pytest.mark.server
def test_another_folder_another_time_and_the_flow_give_the_same_bytes(
    chain: Workspace, by_flow: tuple[Workspace, Done]
) -> None:
    assert by_flow[0].outs() == chain.outs()
    assert len(chain.outs()) >= 2 * len(STAGES)
    assert by_flow[0].lock() == chain.lock()


def test_no_out_names_the_folder_or_the_host(chain: Workspace) -> None:
    host = socket.gethostname()
    names = [str(chain.folder).encode(), *([host.encode()] if len(host) >= 8 else [])]  # a short one stands in any file
    files = [file for out in chain.outs() for file in [chain.folder / out, *(chain.folder / out).rglob("*")]]
    told = [(file.name, name) for file in files if file.is_file() for name in names if name in file.read_bytes()]
    assert told == []


def test_forced_again_pretrain_gives_the_same_bytes(changeable: Workspace) -> None:
    before = changeable.weights()
    printed = changeable.dvc("repro", "-f", "--single-item", "pretrain")
    assert ran(printed) == ["pretrain"]
    assert "resuming" not in printed
    assert changeable.weights() == before
    assert changeable.dvc("status").strip() == UP_TO_DATE


def test_another_seed_changes_only_what_depends_on_it(chain: Workspace, second_seed: tuple[Workspace, str]) -> None:
    workspace, printed = second_seed
    assert set(ran(printed)) == from_stage_on("pretrain") != set(STAGES)
    before, after = chain.lock(), workspace.lock()
    assert {stage for stage in STAGES if before[stage] != after[stage]} == from_stage_on("pretrain")
    assert workspace.weights() != chain.weights()


def test_an_experiment_keeps_the_comments_of_params(chain: Workspace, second_seed: tuple[Workspace, str]) -> None:
    before, after = ((found.folder / "params.yaml").read_text() for found in (chain, second_seed[0]))
    assert len(comments(before)) > 50
    assert comments(after) == comments(before)
    wanted = yaml.safe_load(before)
    wanted["pretrain"]["seed"] = 2
    assert yaml.safe_load(after) == wanted


def test_dvcs_own_comparisons_work(second_seed: tuple[Workspace, str]) -> None:
    workspace, _ = second_seed
    changed: dict[str, Any] = json.loads(workspace.dvc("metrics", "diff", "--json"))
    assert {"old", "new", "diff"} <= set(changed["metrics/pretrain.json"]["val_bits_per_byte"])
    assert "metrics/prepare.json" not in changed
    params = json.loads(workspace.dvc("params", "diff", "--json"))
    assert params["params.yaml"] == {"pretrain.seed": {"old": 1, "new": 2, "diff": 1}}
    table = workspace.dvc("metrics", "show", "--md")
    assert "metrics/evaluate.json" in table


def test_dvcs_plots_hold_the_curve_and_the_comparisons(second_seed: tuple[Workspace, str]) -> None:
    workspace, _ = second_seed
    kept = (workspace.folder / "comparison" / "curves.csv").read_text().splitlines()
    printed = workspace.dvc("plots", "show")
    page = (workspace.folder / "dvc_plots" / "index.html").read_text()
    assert printed.strip().startswith("file://")
    titles = ("Validation bits per byte by training tokens", "Bits per byte beside the baselines")
    for title in (*titles, "Headline figure of each task beside the baselines"):
        assert title in page
    (by_profile,) = [
        line for line in page.splitlines() if '"title": {"text": "Validation bits per byte by profile"' in line
    ]
    assert by_profile.count('"profile": "laptop"') == sum(line.startswith("laptop,") for line in kept) > 0
    assert '"filename": "plots/pretrain.csv"' in by_profile
    assert "dvc_plots" not in workspace.git("status", "--porcelain")


def test_a_comment_makes_nothing_stale(changeable: Workspace) -> None:
    params = changeable.folder / "params.yaml"
    params.write_text("# a comment of the user's\n" + params.read_text().replace("budget_tokens:", "budget_tokens:  "))
    assert changeable.dvc("status").strip() == UP_TO_DATE


def test_a_changed_text_in_sources_makes_what_reads_it_stale(changeable: Workspace) -> None:
    (changeable.folder / "sources" / "mine.txt").write_text("Once upon a time there was a new text.\n")
    status = json.loads(changeable.dvc("status", "--json"))
    assert list(status) == ["ingest", "mix", "calibrate"]  # each may read files of the user's
    assert "resuming" not in changeable.dvc("repro", "--dry")
