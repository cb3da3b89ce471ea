"""A whole small platform in a folder: git, DVC with a model, a registry whose champion it is, reviews, a batch."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from tasks import workspace
from tasks.registry import release, store
from tasks.registry.versions import NAME
from tasks.reviews import reviewers
from tasks.reviews.database import open_database
from tests.apps.serve.running import write_model
from tests.tasks.registry.versions import make_version
from tests.tasks.reviews.small import NOW

MODEL = Path("models/base")
CHAIN = "stages:\n  pretrain:\n    cmd: 'true'\n    outs: [models/base]\n"
IGNORED = "/models/\n/var/\n/data/feedback/*.jsonl\n"
IDENTITY = {f"GIT_{who}_{what}": "tests@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def run(*command: str) -> str:
    """Runs a command in the working folder; what it printed."""
    environment = {**os.environ, **IDENTITY, "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def dvc(*commands: str) -> str:
    """Commands of DVC's, one after the other in one process."""
    script = (
        "import sys, shlex; from dvc.cli import main; sys.exit(any(main(shlex.split(one)) for one in sys.argv[1:]))"
    )
    return run(sys.executable, "-c", script, *commands)


def make_platform(scratch: Path) -> None:
    """Makes it in the working folder, which is empty. scratch: a folder outside."""
    _repository()
    store.DATABASE.parent.mkdir(parents=True)
    store._make_database(store.DATABASE.absolute())
    make_champion(scratch, 1)
    with open_database() as database, database.session() as session:
        reviewers.add(session, "Ann", "reviewer", NOW)
    Path("var/prefect").mkdir()
    with sqlite3.connect("var/prefect/prefect.db") as prefect:
        prefect.execute("CREATE TABLE flow_run (name TEXT)")
        prefect.execute("INSERT INTO flow_run VALUES ('busy-owl')")
    prefect.close()


def make_champion(scratch: Path, number: int) -> None:
    """The workspace's model as a version of the registry, promoted."""
    make_version(scratch, number, dvc_lock_hash=workspace.lock_hash() or "", git_commit=workspace.commit() or "")
    client = store.connect()
    run_id = client.get_model_version(NAME, str(number)).run_id
    client.log_artifacts(run_id, str(MODEL), f"model/artifacts/model_folder/{MODEL.name}")
    release.promote(str(number), by="tests")


def _repository() -> None:
    write_model(MODEL)
    shutil.rmtree("models/base-tokenizer")
    Path("dvc.yaml").write_text(CHAIN)
    Path(".gitignore").write_text(IGNORED)
    batch = Path("data/feedback/judged-2026-11-22.jsonl")
    batch.parent.mkdir(parents=True)
    batch.write_text('{"schema_version": 1}\n')
    run("git", "init", "--quiet")
    dvc("init --quiet", "commit --force --quiet", f"add --quiet {batch}")
    Path("champion").mkdir()
    Path("champion/champion.json").write_text('{"schema_version": 1, "version": null}\n')
    run("git", "add", "--all", ":!dvc.lock")
    run("git", "commit", "--quiet", "--message", "A small platform")
    run("git", "update-ref", "refs/exps/12/3456/fledgling-1", "HEAD")
