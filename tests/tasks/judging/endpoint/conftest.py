"""One server process for all of these tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tasks.judging.endpoint.server import Server, serving


@pytest.fixture(scope="session")
def process() -> Iterator[Server]:
    """The server process, started once."""
    with serving() as server:
        yield server


@pytest.fixture
def server(process: Server, workspace: Path) -> Server:
    """The server, well-behaved and forgetful, for a test in an empty folder."""
    process.rules()
    process.forget()
    return process
