"""Hashes as DVC names them."""

from pathlib import Path

from tasks.dvc_hashes import dvc_md5


def test_a_folders_hash_is_that_of_dvc(workspace: Path) -> None:
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs.local import LocalFileSystem

    folder = workspace / "model"
    for name in ("model.safetensors", "a/b.json", "a-b.json", "B.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    local = LocalFileSystem()
    _, _, built = build(HashFileDB(local, str(workspace / "cache")), str(folder), local, "md5", dry_run=True)
    assert dvc_md5(folder) == built.hash_info.value
    (folder / "B.txt").write_text("another")
    assert dvc_md5(folder) != built.hash_info.value
