"""`fledgling export`: the workspace's model or a named folder; one line for what is asked wrongly."""

from pathlib import Path

import pytest

from fledgling.export import gguf, hf, peft
from tasks.stage import UserError
from tests.tasks.exporting import made


def test_the_newest_model_leaves_with_its_card(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made.folder(workspace / "models" / "base", chats=False)
    made.folder(workspace / "models" / "finetuned")
    hf(Path("out/hf"))
    assert capsys.readouterr().out.startswith("out/hf: a qwen3 of ")
    assert "# fledgling: the finetuned model" in Path("out/hf/README.md").read_text()
    assert Path("out/hf/chat_template.jinja").exists()
    gguf(Path("out/base.gguf"), numbers="Q8_0", model="models/base")
    assert "MiB in q8_0" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"models/finetuned holds no adapter/"):
        peft(Path("out/peft"))


def test_any_model_folder_may_leave(workspace: Path) -> None:
    made.folder(workspace / "elsewhere")
    hf(Path("out"), model="elsewhere")
    assert "license_name: unknown" in Path("out/README.md").read_text()


def test_what_is_asked_wrongly_is_one_line(workspace: Path) -> None:
    with pytest.raises(UserError, match="--type 'q4' is unknown; allowed: f32, f16, q8_0"):
        gguf(Path("x.gguf"), numbers="q4")
    with pytest.raises(UserError, match="there is no model yet"):
        hf(Path("out"))
    with pytest.raises(UserError, match="there is no registry yet"):
        gguf(Path("x.gguf"), model="champion")
    assert not Path("out").exists()
