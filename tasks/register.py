"""Makes the chain's result an MLflow model version: after the chain, once for the same bytes, bound to code and data.

`python -m tasks.register [--chain-run RUN_ID]`; not a DVC stage, since no run id ever enters a DVC out.
"""

import argparse
import contextlib
import json
import logging
import math
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import outcomes, report, stage, tracking, workspace
from tasks.chat import is_taught_to_chat
from tasks.provenance.record import record
from tasks.registry import evidence, gated, judgements, runs, store
from tasks.registry.binding import Binding
from tasks.registry.card import as_description, is_demonstration, model_card, sources_of
from tasks.registry.evidence import Lock
from tasks.registry.runs import now_ms
from tasks.registry.versions import CANDIDATE as ALIAS
from tasks.registry.versions import NAME
from tasks.stage import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

TASKS = Path(__file__).parent
SERVED_MODEL = TASKS / "registry" / "served_model.py"
CODE = TASKS.with_name("model")
CHAT_CODE = ("__init__", "chat", "stage", "telemetry", "tokenizer_kinds")  # what tasks.chat imports, itself included
SPLITS = ("written", "test")  # a model is judged on the first that was measured
REQUIREMENTS = ("torch", "numpy", "tokenizers", "safetensors", "pydantic", "mlflow")

DECODING = {"max_tokens": 120, "temperature": 0.7, "top_p": 0.95, "top_k": 0, "repetition_penalty": 1.0, "seed": 0}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The model beside the n-gram baseline; beats is None where neither split was measured."""

    beats: bool | None
    reason: str

    @property
    def tag(self) -> str:
        return "unknown" if self.beats is None else str(self.beats).lower()


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A model version; what var/registered.json holds."""

    name: str
    version: int
    alias: str | None
    reason: str
    lock_hash: str
    uri: str
    run_id: str
    commit: str | None
    decision: str | None  # the gate's; None where it said nothing of this version now

    @property
    def line(self) -> str:
        """One line for people."""
        gate = f"; the gate says '{self.decision}'" if self.decision else ""
        return f"{self.name} version {self.version} ({self.alias or 'no alias'}): {self.reason}{gate}"


def register(chain_run: str | None) -> Registered:
    """Registers the chain's newest model with its figures, or finds the version that the same bytes already are.

    chain_run: the MLflow run of the chain, which then holds the model; None: one is made from the files.
    Raises UserError where there is no finished chain, or where MLflow can't be reached.
    """
    lock = Lock()
    _check(lock)
    binding = Binding(f"{NAME}-{lock.content_key()[:8]}")
    try:
        registered = _with_mlflow(chain_run, lock, binding)
    finally:
        binding.result()  # ended while it saves, it would leave dvc.lock empty
    stage.write_text(workspace.REGISTERED, json.dumps(asdict(registered), indent=2, sort_keys=True) + "\n")
    return registered


def _check(lock: Lock) -> None:
    """Raises UserError where the model and its figures are not those of dvc.lock."""
    told = [outcomes.TABLE] if str(outcomes.TABLE) in lock.outs else []
    for path in (newest_model(lock), report.METRICS / "evaluate.json", *told):
        lock.check(path)


def newest_model(lock: Lock) -> Path:
    """The folder of the last model that the chain made; that of the first where dvc.lock names none."""
    return next((folder for folder in workspace.MODELS if str(folder) in lock.outs), workspace.MODELS[-1])


def _with_mlflow(chain_run: str | None, lock: Lock, binding: Binding) -> Registered:
    try:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise UserError(f"mlflow can't be imported ({error}); `make setup` installs it") from None
    try:
        unsent = tracking.send_unsent()
        return _register(store.connect(), chain_run or unsent, lock, binding)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"MLflow at {store.tracking_uri()}: {line}; the chain's own results are safe") from error


def _register(client: "MlflowClient", chain_run: str | None, lock: Lock, binding: Binding) -> Registered:
    verdict = judge(report.read_json(report.METRICS / "evaluate.json"), newest_model(lock).name)
    chosen = tags(lock, verdict, binding)
    found = find_version(client, chosen["content_key"])
    run_id = chain_run if _exists(client, chain_run) else None
    if found is None:
        run_id = run_id or runs.chain_from_files(client, lock)
        found = _new_version(client, run_id, lock, chosen)
        log.info("made version %s of %s", found.version, NAME)
    else:
        log.info("the same bytes are version %s already", found.version)
    if run_id is not None:
        runs.complete(client, run_id, lock)
        runs.set_tags(client, run_id, {"model_version": f"{NAME}/{found.version}"})
    alias = _stand(client, found, chosen, beats=verdict.beats is True)
    judgements.send(client, found.run_id, lock, model=newest_model(lock).name, version=f"{NAME}/{found.version}")
    decision = gated.send(client, client.get_model_version(NAME, found.version), lock)
    record(client, int(found.version))
    return Registered(
        name=NAME,
        version=int(found.version),
        alias=alias,
        reason=verdict.reason,
        lock_hash=workspace.lock_hash() or "",
        uri=f"models:/{NAME}/{found.version}",
        run_id=found.run_id,
        commit=_known(client.get_model_version(NAME, found.version).tags["git_commit"]),
        decision=decision,
    )


def _known(tag: str) -> str | None:
    return None if tag.startswith("none") else tag


def judge(metrics: Mapping[str, Any], model: str) -> Verdict:
    """Whether a model's bits per byte are under the n-gram baseline's, on the written hold-out, else on test."""
    for split in SPLITS:
        own, baseline = (metrics.get(f"{name}_{split}_bits_per_byte") for name in (model, "ngram"))
        if isinstance(own, float | int) and isinstance(baseline, float | int) and math.isfinite(own):
            beats = own < baseline
            where = "the hand-written hold-out" if split == "written" else "the test split"
            than = "under" if beats else "not under"
            figures = f"{own:.3f} bits per byte on {where}, {than} the n-gram baseline's {baseline:.3f}"
            return Verdict(beats=beats, reason=figures)
    return Verdict(beats=None, reason="metrics/evaluate.json holds no bits per byte of model and n-gram baseline")


def find_version(client: "MlflowClient", content_key: str) -> Any | None:
    """The oldest version with these bytes, or None."""
    found = client.search_model_versions(f"name='{NAME}' and tags.content_key='{content_key}'")
    return min(found, key=lambda version: int(version.version), default=None)


def _exists(client: "MlflowClient", run_id: str | None) -> bool:
    from mlflow.exceptions import MlflowException

    if run_id is None:
        return False
    try:
        client.get_run(run_id)
    except MlflowException:
        log.warning("MLflow knows no run %s; one is made from the files", run_id)
        return False
    return True


def tags(lock: Lock, verdict: Verdict, binding: Binding) -> dict[str, str]:
    """What stands on the version: which bytes it is, where they came from, how they compare."""
    dirty = workspace.is_dirty()
    if dirty:
        log.warning("uncommitted changes: the version carries the tag 'dirty'")
    bound = binding.result()
    if bound.commit is None:
        log.warning("not bound to code and data: %s", bound.why_not)
    model = newest_model(lock)
    return {
        "content_key": lock.content_key(),
        "model": model.name,
        "model_md5": lock.outs[str(model)],
        "dvc_lock_hash": workspace.lock_hash() or "none",
        "git_commit": workspace.commit() or "none",
        "dirty": str(dirty).lower(),
        "beats_ngram": verdict.tag,
        "reason": verdict.reason,
        "demonstration": str(is_demonstration(sources_of())).lower(),
        "licences": ", ".join(sorted({licence for _, licence in sources_of()})) or "none",
        "dvc_exp": bound.name if bound.commit else "none",
        "dvc_exp_commit": bound.commit or f"none: {bound.why_not}",
        **task_tags(model.name),
        **judge_tags(model.name),
    }


def task_tags(model: str) -> dict[str, str]:
    """How a model stands to the best baseline of each task, and the tasks that it lost to one."""
    lost = report.read_json(report.METRICS / "evaluate.json").get(f"{model}_tasks_lost")
    if lost is None:
        return {}
    found = {f"task_{outcome.task}": outcome.line for outcome in outcomes.read_outcomes()}
    return {"tasks_lost": ", ".join(lost) or "none", **found}


def judge_tags(model: str) -> dict[str, str]:
    """How a model stands to the others by the accepting judge, and on which axes that judge may not decide."""
    judged = report.judged(model, [folder.name for folder in workspace.MODELS])
    if judged is None:
        return {}
    told = {f"judged_vs_{found.other}": found.line for found in judged.against}
    return {"judge": judged.judge, "judge_may_not_decide": ", ".join(judged.may_not_decide) or "none", **told}


def _new_version(client: "MlflowClient", run_id: str, lock: Lock, chosen: Mapping[str, str]) -> Any:
    from mlflow.exceptions import MlflowException

    shown = ("model_md5", "git_commit", "dirty", "dvc_lock_hash", "dvc_exp_commit")
    ties = {key: chosen[key] for key in shown}
    model = newest_model(lock)
    card = model_card(model=model, name=NAME, lock=lock, ties=ties, verdict=f"{chosen['reason']}.")
    model_id = _log_model(client, run_id, model)
    _log_evidence(client, run_id, lock, card, model_id)
    try:
        client.create_registered_model(NAME, description="Small language models, each the result of a chain's run.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.create_model_version(
        NAME, f"models:/{model_id}", run_id, tags=dict(chosen), description=as_description(card), model_id=model_id
    )


def _log_evidence(client: "MlflowClient", run_id: str, lock: Lock, card: str, model_id: str) -> None:
    """Every figure of the chain on the run and on the model, every tracked file as an input, the files to read."""
    figures = {f"{name}/{key}": value for name in lock.stages for key, value in evidence.figures(name).items()}
    runs.log_figures(client, run_id, figures, at_ms=now_ms(), model_id=model_id)
    files = {file.path: file for name in lock.stages for file in lock.inputs(name)}
    runs.log_inputs(client, run_id, files.values(), context="chain")
    client.log_text(run_id, card, "model_card.md")
    for folder in (report.METRICS, Path("plots")):
        for path in sorted(folder.glob("*.*")):
            client.log_artifact(run_id, str(path), folder.name)
    if report.SAMPLES.exists():
        client.log_artifact(run_id, str(report.SAMPLES))


def _log_model(client: "MlflowClient", run_id: str, model: Path) -> str:
    """Logs the pyfunc model (this code, safetensors, JSON: no pickle) on the run; returns MLflow's id of it.

    In steps, not by `pyfunc.log_model`: that opens the run again, and loads the model once more (3 s).
    """
    import mlflow
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    experiment = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment, name=model.name, source_run_id=run_id, model_type="text-generation")
    params = {**DECODING, "stop": [], "chat": is_taught_to_chat(model)}
    with tempfile.TemporaryDirectory() as folder, _without_advice():
        path = Path(folder) / "model"
        mlflow.pyfunc.save_model(
            path,
            mlflow_model=mlflow.models.Model(
                artifact_path=logged.artifact_location,
                run_id=run_id,
                model_uuid=logged.model_id,
                model_id=logged.model_id,
            ),
            python_model=str(SERVED_MODEL),
            artifacts={"model_folder": str(model)},
            code_paths=[str(CODE), str(_chat_code(Path(folder)))],
            signature=_signature(params),
            input_example=_example(params),
            pip_requirements=requirements(),
        )
        client.log_model_artifacts(logged.model_id, str(path))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, models=[LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """MLflow advises type hints on `predict` whenever the class is made; with them it drops the signature's params."""
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.captureWarnings(False)


def _chat_code(folder: Path) -> Path:
    """A package `tasks` that holds what renders a chat, and nothing else of it."""
    package = folder / TASKS.name
    package.mkdir()
    for name in CHAT_CODE:
        shutil.copy(TASKS / f"{name}.py", package)
    return package


def _example(params: Mapping[str, Any]) -> Any:
    import pandas as pd

    return pd.DataFrame({"prompt": ["Once upon a time"]}), dict(params)


def _signature(params: Mapping[str, Any]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    kinds = {int: DataType.long, float: DataType.double, bool: DataType.boolean}
    text = DataType.string
    specs = [
        ParamSpec(name, text, value, shape=(-1,))
        if isinstance(value, list)
        else ParamSpec(name, kinds[type(value)], value)
        for name, value in params.items()
    ]
    return ModelSignature(Schema([ColSpec(text, "prompt")]), Schema([ColSpec(text, "text")]), ParamSchema(specs))


def requirements() -> list[str]:
    """What the served model needs, at the versions it was logged with (a build's `+cpu` left off)."""
    from importlib.metadata import version

    return [f"{name}=={version(name).split('+')[0]}" for name in REQUIREMENTS]


def _stand(client: "MlflowClient", version: Any, wanted: Mapping[str, str], *, beats: bool) -> str | None:
    """Makes sure that tags and alias stand; returns the alias, or None for a model that earned none."""
    for key, value in wanted.items():
        if version.tags.get(key, "none").startswith("none"):  # what is known stays: it was so when it was made
            client.set_model_version_tag(NAME, version.version, key, value)
    if not beats:
        log.warning("version %s gets no alias '%s': %s", version.version, ALIAS, wanted["reason"])
        return None
    client.set_registered_model_alias(NAME, ALIAS, version.version)
    return ALIAS


def main() -> None:
    """`python -m tasks.register`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # by way of the `finally` above
    with stage.process("register"):
        parser = argparse.ArgumentParser(prog="python -m tasks.register", description=(__doc__ or "").split("\n")[0])
        parser.add_argument(
            "--chain-run", metavar="RUN_ID", help="the chain's MLflow run; without: made from the files"
        )
        registered = register(parser.parse_args().chain_run)
        log.info(registered.line)


if __name__ == "__main__":
    main()
