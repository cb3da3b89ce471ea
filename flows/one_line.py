"""What the user can mend is one line in a run's log, in the terminal as on its page; Prefect's would be a traceback."""

import logging

from tasks.stage import UserError

RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


class WithoutTraceback(logging.Filter):
    """Lets everything through; a UserError without the place in the code where it came up."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, UserError):
            record.msg, record.args = record.getMessage().replace(repr(error), str(error)), ()
            record.exc_info = record.exc_text = None
        return True


def install() -> None:
    """Of this process's runs; a second call changes nothing."""
    for name in RUN_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, WithoutTraceback) for one in logger.filters):
            logger.addFilter(WithoutTraceback())
