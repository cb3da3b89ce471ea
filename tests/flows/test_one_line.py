"""A run's log: one line for what the user can mend, a traceback for what they can't."""

import logging

import pytest

from flows import one_line
from tasks.stage import UserError


def lines(caplog: pytest.LogCaptureFixture, error: Exception) -> str:
    logger = logging.getLogger("prefect.flow_runs")
    logger.addHandler(caplog.handler)
    try:
        raise error
    except Exception as caught:
        logger.exception("Encountered exception during execution: %r", caught)
    finally:
        logger.removeHandler(caplog.handler)
    return caplog.text


def test_a_users_mistake_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    one_line.install()
    one_line.install()
    told = lines(caplog, UserError("no version 99; there is 1"))
    assert told.splitlines()[0].endswith("Encountered exception during execution: no version 99; there is 1")
    assert "Traceback" not in told
    filters = logging.getLogger("prefect.flow_runs").filters
    assert sum(isinstance(one, one_line.WithoutTraceback) for one in filters) == 1


def test_anything_else_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    assert "Traceback" in lines(caplog, ValueError("a defect"))
