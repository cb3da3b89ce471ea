"""The project's own parameters: its policy is what these tests are about."""

from pathlib import Path

import pytest

from tasks.prepare import PrepareParams
from tasks.stage import load_params

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def params() -> PrepareParams:
    return load_params(PrepareParams, "prepare", file=PROJECT / "params.yaml")
