"""What binds a version to code and data: `dvc exp save`, whose commit holds params, dvc.lock and code.

Branch and work tree stay as they are; `dvc exp apply NAME` brings the state back. DVC empties the work tree's changed
files for a moment while it saves, `dvc.lock` among them: nothing here ends it in the middle, and it ends by itself in
seconds.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass

from tasks import workspace
from tasks.telemetry import OFF

SAVE = (sys.executable, "-m", "tasks.registry.binding")


@dataclass(frozen=True, kw_only=True)
class Bound:
    """An experiment of DVC's, or why there is none."""

    name: str
    commit: str | None = None
    why_not: str = ""


class Binding:
    """Saves the experiment in a process of its own, while MLflow is being imported."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: subprocess.Popen[str] | None = None
        self._bound: Bound | None = _why_not(name)
        if self._bound is None:
            self._process = subprocess.Popen(
                [*SAVE, name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )

    def result(self) -> Bound:
        """The experiment; waits until it is saved."""
        if self._bound is None and self._process is not None:
            output, _ = self._process.communicate()
            self._bound = _parse(output) or Bound(name=self.name, why_not="`dvc exp save` failed")
        return self._bound or Bound(name=self.name, why_not="it was not saved")


def _why_not(name: str) -> Bound | None:
    if not workspace.uses_git():
        return Bound(name=name, why_not="there is no git repository here (`git init`, then commit)")
    if workspace.commit() is None:
        return Bound(name=name, why_not="the git repository has no commit yet")
    return None


def _parse(output: str) -> Bound | None:
    lines = output.splitlines()
    return Bound(**json.loads(lines[-1])) if lines else None


def save(name: str) -> Bound:
    """Saves the workspace as the experiment `name`, or finds it saved with the same dvc.lock.

    One of that name with another dvc.lock (the same model, at the gate beside another champion) stays as it is, since
    a version may name its commit: the workspace is saved under a longer name.
    """
    saved = _saved()
    if name in saved and not _has_this_lock(saved[name]):
        name = f"{name}-{(workspace.lock_hash() or '')[:8]}"
    if name in saved and _has_this_lock(saved[name]):
        return Bound(name=name, commit=saved[name])
    return _save(name)


def _save(name: str) -> Bound:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo(".", _wait_for_lock=True) as repo:
            stale = sorted(repo.status())
            if stale:  # saving would take what changed since for what the model was made of
                return Bound(name=name, why_not=f"the workspace has changed since the chain ran ({', '.join(stale)})")
            return Bound(name=name, commit=str(repo.experiments.save(name=name, force=True)))
    except (DvcException, SCMError) as error:
        return Bound(name=name, why_not=f"dvc exp save: {str(error).splitlines()[0]}")


def _saved() -> dict[str, str]:
    """The commit of each experiment, by name."""
    lines = _git("for-each-ref", "refs/exps", "--format=%(objectname) %(refname)").splitlines()
    return {ref.rsplit("/", 1)[1]: commit for commit, _, ref in (line.partition(" ") for line in lines)}


def _has_this_lock(commit: str) -> bool:
    return _git("show", f"{commit}:./{workspace.LOCK}") == workspace.LOCK.read_text(encoding="utf-8")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.environ.update(OFF)
    print(json.dumps(asdict(save(sys.argv[1]))))
