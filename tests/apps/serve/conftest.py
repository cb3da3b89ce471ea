"""One server for the tests of a file that change nothing of it; chromium as for the review page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.serve.running import Running, running, write_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that was taught to chat."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def server(model_folder: Path) -> Iterator[Running]:
    with running(str(model_folder)) as made:
        yield made
