"""A stage that is killed goes on from its newest checkpoint and ends in the bytes of an undisturbed run."""

import signal

import pytest

from tests.e2e.workspace import Workspace, ended_after, wait_for


def kill_pretrain(workspace: Workspace) -> str:
    """Runs pretrain with a seed that nothing knows yet and kills the stage's process; what was printed."""
    workspace.set_params(pretrain__seed=2)
    with ended_after(workspace.start("dvc", "repro", "pretrain"), workspace) as started:
        wait_for(workspace.in_the_middle_of_pretrain, limit_s=60, what="two checkpoints")
        (stage,) = workspace.processes("-m tasks.pretrain")[-1:]
        stage.send_signal(signal.SIGKILL)
        assert started.ends_within(30) != 0
        return started.output


@pytest.mark.parametrize("corrupt", [False, True])
def test_kill_9_and_again(changeable: Workspace, second_seed: tuple[Workspace, str], corrupt: bool) -> None:
    assert "failed to reproduce 'pretrain'" in kill_pretrain(changeable)
    newest = changeable.checkpoints()[-1]
    if corrupt:
        newest.write_bytes(newest.read_bytes()[:-1000])
    assert not (changeable.folder / "models" / "base" / "model.safetensors").exists()

    printed = changeable.dvc("repro", "pretrain")

    complaints = [line for line in printed.splitlines() if "corrupt" in line]
    assert len(complaints) == (1 if corrupt else 0)
    assert all(newest.name in line for line in complaints)
    assert "pretrain | resuming after step " in printed
    assert changeable.weights() == second_seed[0].weights()
    outs = ("models/base", "metrics/pretrain.json", "plots/pretrain.csv")
    assert [changeable.outs()[out] for out in outs] == [second_seed[0].outs()[out] for out in outs]
    assert changeable.checkpoints() == []
