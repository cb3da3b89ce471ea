"""Registering: once for the same bytes, with what a reader needs, without what a model has not earned."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from fledgling.generate import continuation, reply
from tasks.dvc_hashes import dvc_md5
from tasks.register import (
    ALIAS,
    CHAT_CODE,
    NAME,
    Registered,
    _without_advice,
    judge,
    newest_model,
    register,
    requirements,
    task_tags,
)
from tasks.registry import store
from tasks.registry.evidence import Lock
from tasks.stage import UserError
from tests.tasks.registry.conftest import FIGURES, dvc, git, write_json, write_model

pytestmark = pytest.mark.filterwarnings(  # MLflow of its own classes and of its own use of pandas
    "ignore:.*type hint:UserWarning", "ignore:Operation with range is deprecated"
)


def versions() -> list[Any]:
    return list(store.connect().search_model_versions(f"name='{NAME}'"))


def change_model(chain: Path, *, seed: int = 2) -> None:
    write_model(chain / "models" / "finetuned", seed=seed)
    dvc(chain, "commit", "-q", "-f")


def test_a_version_says_what_it_is(chain: Path) -> None:
    registered = register(None)

    version = store.connect().get_model_version_by_alias(NAME, ALIAS)
    assert int(version.version) == registered.version == 1
    assert json.loads((chain / "var" / "registered.json").read_text())["alias"] == ALIAS
    assert version.tags["model"] == "finetuned"
    assert version.tags["model_md5"] == dvc_md5(Path("models/finetuned"))
    assert version.tags["git_commit"] == git(chain, "rev-parse", "HEAD").strip() == registered.commit
    assert (version.tags["beats_ngram"], version.tags["dirty"]) == ("true", "false")
    card = version.description
    for wanted in ("demonstration corpus", "storybook-written | Apache-2.0 | 30 | 3 | 4 | 5", "1.2000", "## Limits"):
        assert wanted in card


def test_a_version_says_how_its_tasks_came_out(chain: Path) -> None:
    register(None)

    version = versions()[0]
    assert version.tags["tasks_lost"] == "translation"
    assert version.tags["task_assistant"] == "wins: token_f1 0.625, retrieval 0.500"
    assert version.tags["task_translation"] == "loses: chrf 40.0, phrases 45.5"
    card = version.description
    assert "requests of the kinds it was taught, assistant, translation." in card
    assert "| assistant | token_f1 | 0.625 | 0.123 | retrieval 0.500 | wins |" in card
    assert "| translation | chrf | 40.0 | - | phrases 45.5 | **loses** |" in card
    assert "On hand-written stories: assistant 0.432 (retrieval -)." in card
    assert "answered: 0.375" in card
    assert "(0: favours nobody): 0.250 [-0.100, 0.600]" in card
    assert "hand-written hold-out: 0.100" in card
    assert "--task assistant" in card


def test_what_a_version_lost_is_none_or_unsaid(workspace: Path) -> None:
    write_json(workspace / "metrics" / "evaluate.json", {"finetuned_tasks_lost": []})
    assert task_tags("finetuned") == {"tasks_lost": "none"}
    assert task_tags("base") == {}


@pytest.mark.parametrize(
    ("outs", "newest"),
    [(("base",), "base"), (("base", "finetuned"), "finetuned"), (("finetuned", "aligned", "base"), "aligned")],
)
def test_the_newest_model_of_the_lock_is_registered(tmp_path: Path, outs: tuple[str, ...], newest: str) -> None:
    made = {name: {"outs": [{"path": f"models/{name}", "md5": "0"}]} for name in outs}
    (tmp_path / "dvc.lock").write_text(json.dumps({"stages": made}))
    assert newest_model(Lock(tmp_path / "dvc.lock")) == Path("models") / newest


def test_its_run_holds_every_figure_and_every_input(chain: Path) -> None:
    registered = register(None)

    client = store.connect()
    run = client.get_run(registered.run_id)
    assert run.data.metrics["evaluate/base_written_bits_per_byte"] == 1.0
    inputs = {found.dataset.name: found.dataset.digest for found in run.inputs.dataset_inputs}
    assert inputs == {path: Lock().outs[path] for path in ("data/clean", "models/base", "models/finetuned")}
    stages = {found.info.run_name: found for found in client.search_runs([run.info.experiment_id], "tags.kind='stage'")}
    assert set(stages) == {"prepare", "pretrain", "finetune", "evaluate"}
    pretrain = stages["pretrain"]
    assert pretrain.data.params == {"model.d_model": "16", "seed": "1"}
    assert pretrain.data.metrics["train_tokens_per_s"] == 5.0
    assert pretrain.data.tags["mlflow.parentRunId"] == registered.run_id
    logged = client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert {metric.key: metric.value for metric in logged.metrics}["evaluate/base_grammar_accuracy"] == 0.7
    assert "metrics/tasks.md" in [artifact.path for artifact in client.list_artifacts(registered.run_id, "metrics")]


def test_twice_is_one_version(chain: Path) -> None:
    first, again = register(None), register(None)

    assert first == again
    assert len(versions()) == 1
    assert len(store.connect().search_runs([store.experiment_id(store.connect())])) == 5


def test_the_second_time_mends_what_was_lost(chain: Path) -> None:
    register(None)
    client = store.connect()
    client.delete_registered_model_alias(NAME, ALIAS)
    client.delete_model_version_tag(NAME, "1", "beats_ngram")

    register(None)

    assert client.get_model_version_by_alias(NAME, ALIAS).tags["beats_ngram"] == "true"


def test_other_bytes_are_another_version(chain: Path) -> None:
    register(None)
    change_model(chain)

    assert register(None).version == 2
    assert int(store.connect().get_model_version_by_alias(NAME, ALIAS).version) == 2


def test_a_model_that_does_not_beat_the_ngram_gets_no_alias(chain: Path) -> None:
    register(None)
    change_model(chain)
    write_json(chain / "metrics" / "evaluate.json", FIGURES | {"ngram_written_bits_per_byte": 0.9})
    dvc(chain, "commit", "-q", "-f")

    registered = register(None)

    assert registered.alias is None
    assert "not under the n-gram baseline's 0.900" in registered.line
    client = store.connect()
    assert client.get_model_version(NAME, "2").tags["beats_ngram"] == "false"
    assert int(client.get_model_version_by_alias(NAME, ALIAS).version) == 1


@pytest.mark.parametrize(
    ("figures", "beats"),
    [
        ({"base_written_bits_per_byte": 1.0, "ngram_written_bits_per_byte": 1.1}, True),
        ({"base_written_bits_per_byte": 1.1, "ngram_written_bits_per_byte": 1.1}, False),
        ({"base_test_bits_per_byte": 0.8, "ngram_test_bits_per_byte": 0.9}, True),
        ({**FIGURES, "ngram_test_bits_per_byte": 0.1}, True),
        ({"base_written_bits_per_byte": 1.0}, None),
        ({}, None),
    ],
)
def test_the_written_holdout_judges_else_the_test_split(figures: dict[str, float], beats: bool | None) -> None:
    assert judge(figures, "base").beats is beats


def test_the_chains_own_run_holds_the_model(chain: Path) -> None:
    client = store.connect()
    from tasks.registry import runs

    parent = runs.start_chain(client, started_ms=runs.now_ms(), origin="flow")
    left_open = runs.start_stage(client, parent=parent, stage="pretrain", started_ms=runs.now_ms())

    assert register(parent).run_id == parent
    assert client.get_run(parent).info.status == "FINISHED"
    assert client.get_run(left_open).data.metrics["parameters"] == 5_000


def test_a_run_that_mlflow_does_not_know_is_made_from_the_files(chain: Path) -> None:
    assert register("0" * 32).version == 1


def test_no_file_is_a_pickle(chain: Path) -> None:
    register(None)

    names = [path.name for path in (chain / store.ARTIFACTS).rglob("*") if path.is_file()]
    assert "model.safetensors" in names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib", ".pyc"))]


def test_the_experiment_brings_params_and_lock_back(chain: Path) -> None:
    register(None)
    name = versions()[0].tags["dvc_exp"]
    wanted = [(chain / file).read_bytes() for file in ("params.yaml", "dvc.lock")]
    (chain / "params.yaml").write_text("prepare: {words: [c]}\npretrain: {model: {d_model: 99}, seed: 2}\n")
    (chain / "dvc.lock").unlink()

    dvc(chain, "exp", "apply", name)

    assert [(chain / file).read_bytes() for file in ("params.yaml", "dvc.lock")] == wanted


def test_saving_leaves_branch_and_work_tree_alone(chain: Path) -> None:
    before = git(chain, "log", "--oneline"), git(chain, "status", "--porcelain")
    register(None)
    assert (git(chain, "log", "--oneline"), git(chain, "status", "--porcelain")) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_while_it_saves_it_leaves_the_work_tree_alone(chain: Path, number: signal.Signals) -> None:
    """As a cancelled flow ends it, the whole group: what DVC is rewriting then is dvc.lock."""
    silent = socket.create_server(("127.0.0.1", 0))  # an MLflow that takes the question and never answers
    uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
    before = (chain / "dvc.lock").read_bytes()
    registering = subprocess.Popen(
        [sys.executable, "-m", "tasks.register"], cwd=chain, env=os.environ | {"MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with silent, registering:
        saving = deaf_child(registering.pid)
        os.killpg(registering.pid, number)
        registering.wait(60)
        assert not saving.is_running()
    assert "refs/exps" in git(chain, "for-each-ref", "refs/exps")  # it went to its end
    assert (chain / "dvc.lock").read_bytes() == before


def deaf_child(parent: int) -> psutil.Process:
    """The process that saves the experiment, once it no longer ends when it is asked to."""
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        for child in psutil.Process(parent).children():
            status = Path(f"/proc/{child.pid}/status").read_text()
            ignored = int(re.search(r"SigIgn:\s*(\w+)", status)[1], 16)  # type: ignore[index]
            if ignored >> (signal.SIGTERM - 1) & 1:
                return child
        time.sleep(0.02)
    raise AssertionError("nothing saves the experiment")


def test_a_workspace_that_has_moved_on_is_not_bound(chain: Path) -> None:
    (chain / "params.yaml").write_text("prepare: {words: [a, b]}\npretrain: {model: {d_model: 16}, seed: 7}\n")

    register(None)

    found = versions()[0].tags
    assert found["dirty"] == "true"
    assert found["dvc_exp_commit"] == "none: the workspace has changed since the chain ran (pretrain)"


def test_without_git_it_is_registered_all_the_same(chain: Path) -> None:
    subprocess.run(["rm", "-rf", ".git"], cwd=chain, check=True)
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(chain.parent)}

    done = subprocess.run(
        [sys.executable, "-m", "tasks.register"],
        cwd=chain,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "register | not bound to code and data: there is no git repository here" in done.stdout
    assert versions()[0].tags["git_commit"] == "none"
    assert {"seconds", "peak_rss_mib"} <= set(json.loads((chain / "var" / "timings" / "register.json").read_text()))


def test_a_model_that_is_not_the_locks_is_refused(chain: Path) -> None:
    write_model(chain / "models" / "finetuned", seed=3)
    with pytest.raises(UserError, match=r"models/finetuned is not what dvc.lock says it is"):
        register(None)


def test_a_chain_that_never_ran_is_refused(chain: Path) -> None:
    (chain / "dvc.lock").unlink()
    with pytest.raises(UserError, match=r"dvc.lock names no models/base: run the chain first"):
        register(None)


def test_a_server_that_is_down_is_one_line(chain: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tasks.register"],
        cwd=chain, env=os.environ | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("register: MLflow at http://127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1


SERVE = """
import json, mlflow, pandas, sys
served = mlflow.pyfunc.load_model(sys.argv[1])
prompts = pandas.DataFrame({"prompt": ["Once", "<|im_end|>"]})
params = {"max_tokens": 8, "temperature": 50.0, "top_p": 1.0}
for more in ({"seed": 1}, {"seed": 1}, {"seed": 2}, {"seed": 1, "chat": True}, {"seed": 1, "chat": False}):
    print(json.dumps(served.predict(prompts, params=params | more).to_dict("list")))
import model, tasks
own = sorted(name for name in sys.modules if name.split(".")[0] in ("tasks", "flows"))
print(json.dumps([model.__file__, tasks.__file__, own]))
"""


def test_the_model_serves_without_the_project(chain: Path, tmp_path: Path) -> None:
    registered = register(None)
    environment = os.environ | {"MLFLOW_TRACKING_URI": store.tracking_uri(), "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", SERVE, registered.uri],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, again, other, chat, raw, where = map(json.loads, done.stdout.splitlines())
    assert first == again != other
    assert (list(first), first) == (["text"], chat)  # a fine-tuned model replies
    assert raw["text"] == [
        continuation(prompt, max_tokens=8, temperature=50.0, seed=1, version=None) for prompt in ("Once", "<|im_end|>")
    ]
    assert chat["text"] == [
        reply(prompt, task="assistant", max_tokens=8, temperature=50.0, seed=1, version=None)
        for prompt in ("Once", "<|im_end|>")
    ]
    *files, own = where
    assert all(str(chain / store.ARTIFACTS) in file for file in files)
    assert own == sorted({"tasks", *(f"tasks.{name}" for name in CHAT_CODE if name != "__init__")})


def test_a_base_model_is_served_for_going_on_with_texts(chain: Path) -> None:
    from mlflow import pyfunc

    (chain / "models" / "finetuned" / "generation_config.json").unlink()  # as a base model's folder
    dvc(chain, "commit", "-q", "-f")

    uri = register(None).uri
    with _without_advice():
        served = pyfunc.load_model(uri)

    schema = served.metadata.signature.params.to_dict()
    assert {param["name"]: param["default"] for param in schema}["chat"] is False
    with pytest.raises(ValueError, match="not taught to reply: chat must be false"):
        served.predict({"prompt": ["Once"]}, params={"chat": True})


def test_a_version_leaves_with_what_was_registered(chain: Path) -> None:
    from fledgling.export import hf

    register(None)
    write_json(chain / "metrics" / "evaluate.json", {})  # the workspace has gone on
    hf(chain / "out", model=ALIAS)
    card = (chain / "out" / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert "- type: finetuned_written_bits_per_byte" in card
    assert "storybook-written | Apache-2.0 | 30 | 3 | 4 | 5" in card


def test_requirements_are_pinned() -> None:
    assert all("==" in line and "+" not in line for line in requirements())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        return dict(json.load(reply))


@pytest.mark.server
def test_mlflow_serves_the_candidate(chain: Path, tmp_path: Path) -> None:
    registered: Registered = register(None)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}@{ALIAS}"]
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # MLflow starts `uvicorn`
    environment = os.environ | {"MLFLOW_TRACKING_URI": store.tracking_uri(), "PYTHONPATH": "", "PATH": programs}
    server = subprocess.Popen(
        [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
        cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        body = {
            "dataframe_records": [{"prompt": "Once upon a time"}],
            "params": {"max_tokens": 8, "chat": True, "stop": ["\n"]},
        }
        for _ in range(240):
            try:
                told = ask(port, body)
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.25)
        else:
            pytest.fail("the server did not come up")
        assert "\n" not in told["predictions"][0]["text"]
        assert registered.alias == ALIAS
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)
