"""Hashes computed anew: whole where nothing was touched, and what differs named wherever it was touched."""

import shutil
from pathlib import Path

import pytest

from tasks.gating.champion import ANSWERS
from tasks.provenance.record import PAGE
from tasks.provenance.verify import verify_version
from tasks.provenance.version import trace_version
from tasks.registry import store
from tasks.registry.evidence import Lock
from tasks.registry.release import promote
from tasks.registry.versions import NAME
from tasks.workspace import lock_hash

pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")

SERVED = "the model that MLflow serves as fledgling/1"


def checked() -> dict[str, str]:
    """The state of each hash; what is ok is left out."""
    client = store.connect()
    checks = list(verify_version(client, trace_version(client, 1)))
    assert {"dvc.lock", "content key", "data/clean", SERVED, "gate/answers.jsonl"} <= {check.what for check in checks}
    return {check.what: check.state for check in checks if check.state != "ok"}


def change(path: Path) -> None:
    """Other bytes of the same length, whether or not it may be written."""
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def cached(md5: str) -> Path:
    return Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]


def test_what_nobody_touched_is_whole(registered: Path) -> None:
    assert checked() == {}


def test_a_changed_out_differs_in_the_workspace_and_in_the_cache(registered: Path) -> None:
    change(Path("data/pairs/manifest.json"))
    change(cached(Lock().outs["metrics/evaluate.json"]))
    assert checked() == {"data/pairs": "differs", "metrics/evaluate.json": "differs"}


def test_a_changed_listing_of_the_cache_differs(registered: Path) -> None:
    listing = cached(Lock().outs["data/clean"])
    listing.chmod(0o644)
    listing.write_text(listing.read_text().replace("train", "trian"))
    assert checked() == {"data/clean": "differs"}


def test_what_is_nowhere_is_missing_and_no_fault(registered: Path) -> None:
    cached(Lock().outs["data/gated"]).unlink()
    shutil.rmtree("data/gated")
    assert checked() == {"data/gated": "missing"}


def test_another_chain_in_the_workspace_is_no_fault_of_an_older_version(registered: Path) -> None:
    shutil.rmtree("data/pairs")
    Path("data/pairs").mkdir()
    Path("data/pairs/manifest.json").write_text("{}")
    with Path("dvc.lock").open("a") as lock:
        lock.write("# of another chain\n")
    assert checked() == {}


def test_the_served_model_differs_where_mlflows_copy_was_changed(registered: Path) -> None:
    (copy,) = (path for path in store.ARTIFACTS.rglob("model.safetensors") if "artifacts" in path.parts)
    change(copy)
    assert checked() == {SERVED: "differs"}


def test_a_model_that_mlflow_lost_is_missing(registered: Path) -> None:
    (copy,) = store.ARTIFACTS.rglob("model.safetensors")
    shutil.rmtree(copy.parents[2])
    assert checked() == {SERVED: "missing"}


def test_tags_that_were_changed_differ(registered: Path) -> None:
    client = store.connect()
    client.set_model_version_tag(NAME, "1", "content_key", "0" * 64)
    client.set_model_version_tag(NAME, "1", "model_md5", "0" * 32 + ".dir")
    assert checked() == {"content key": "differs", "the model's hash in dvc.lock": "differs", SERVED: "differs"}


def test_a_batch_file_that_was_changed_differs_by_its_manifest_and_by_dvc(registered: Path) -> None:
    change(Path("data/feedback/b.jsonl"))
    assert checked() == {"data/feedback/b.jsonl": "differs", "data/feedback/b.jsonl.dvc": "differs"}
    Path("data/feedback/b.jsonl").unlink()
    assert checked() == {"data/feedback/b.jsonl": "missing"}


def test_code_that_the_commit_holds_otherwise_differs(registered: Path) -> None:
    client = store.connect()
    lock = Path("dvc.lock").read_text()
    md5 = Lock().sources["code"]
    Path("dvc.lock").write_text(lock.replace(md5, "0" * 32 + ".dir"))
    client.set_model_version_tag(NAME, "1", "dvc_lock_hash", lock_hash() or "")
    assert checked() == {"code": "differs"}


def test_a_lock_that_the_versions_own_commit_holds_otherwise_differs(registered: Path) -> None:
    client = store.connect()
    client.set_model_version_tag(NAME, "1", "dvc_lock_hash", "0" * 64)
    found = {check.what: check.state for check in verify_version(client, trace_version(client, 1))}
    assert found["dvc.lock"] == "differs"


def test_the_answers_of_the_champion_are_looked_at(registered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEDGLING_RELOAD_URL", raising=False)
    promote("1", by="Ada", despite="a test")
    assert "promoted</strong> by Ada" in PAGE.read_text()
    assert checked() == {}
    change(Path("champion") / ANSWERS)
    assert checked() == {f"champion/{ANSWERS}": "differs"}


def test_answers_of_the_gate_that_were_changed_differ(registered: Path) -> None:
    (answers,) = store.ARTIFACTS.rglob(f"gate/{ANSWERS}")
    change(answers)
    assert checked() == {f"gate/{ANSWERS}": "differs"}
