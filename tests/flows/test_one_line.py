"""A run's log: one line for what the user can mend, a traceback for what they can't."""

import logging

import pytest

from flows import one_line
from tasks.stage import UserError

NAME = "tests.one_line"  # Prefect's own loggers want a run


@pytest.fixture
def logger() -> logging.Logger:
    made = logging.getLogger(NAME)
    made.filters[:] = [one_line.WithoutTraceback()]
    return made


def log(logger: logging.Logger, error: Exception) -> None:
    try:
        raise error
    except Exception as caught:
        logger.exception("Encountered exception during execution: %r", caught)


def test_a_users_mistake_is_one_line(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    log(logger, UserError("no version 99; there is 1"))
    assert caplog.text.splitlines()[0].endswith("Encountered exception during execution: no version 99; there is 1")
    assert "Traceback" not in caplog.text


def test_anything_else_keeps_its_traceback(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    log(logger, ValueError("a defect"))
    assert "Traceback" in caplog.text


def test_each_logger_of_runs_has_the_filter_once() -> None:
    one_line.install()
    one_line.install()
    for name in one_line.RUN_LOGGERS:
        filters = logging.getLogger(name).filters
        assert sum(isinstance(one, one_line.WithoutTraceback) for one in filters) == 1
