"""A model folder of somebody else's: what of it is never run, and how a server ends that cannot serve it."""

import pickle
import shutil
from pathlib import Path

import pytest

from tests.apps.serve.running import running, wait_until
from tests.conftest import refused

ATTACKS = (
    "{{ cycler.__init__.__globals__.os.system('touch %s') }}",
    "{% for a in ().__class__.__base__.__subclasses__() %}{{ a }}{% endfor %}{{ 1 / 0 }}",
)


@pytest.fixture
def foreign(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "tiny"))


def test_a_template_in_the_folder_is_never_run(model_folder: Path, foreign: Path, tmp_path: Path) -> None:
    asked = {"temperature": 0, "max_tokens": 12}
    with running(str(model_folder)) as made:
        wanted = made.ask(**asked).json()
    template = ATTACKS[0] % (tmp_path / "run") + ATTACKS[1]
    (foreign / "chat_template.jinja").write_text(template)
    with running(str(foreign)) as made:
        hostile = made.ask(**asked, messages=[{"role": "user", "content": template}])
        assert hostile.json()["error"]["code"] == "context_length_exceeded"  # a text as any other, and a long one
        said = made.ask(**asked).json()
        assert (said["choices"], said["usage"]) == (wanted["choices"], wanted["usage"])
    assert not (tmp_path / "run").exists()


def test_a_server_of_a_folder_with_a_pickle_ends_and_says_why(foreign: Path, tmp_path: Path) -> None:
    (foreign / "extra.pkl").write_bytes(pickle.dumps(Path(tmp_path / "run")))
    with running(str(foreign), wait=False) as made:
        wait_until(lambda: made.service.failure is not None)
        with refused("holds extra.pkl, which may run code when it is read"):
            assert made.service.failure is not None
            raise made.service.failure
