"""How far a judge may be believed: seven checks of it on held-out stories and on what people said."""

from tasks.judging.examination.ladder import Rung, read_ladder
from tasks.judging.examination.people import read_reviews
from tasks.judging.examination.protocol import ExaminationParams, examine, read_user_files
from tasks.judging.examination.scorecard import (
    Check,
    Limit,
    axes_not_examined,
    axes_that_failed,
    scorecard_figures,
    scorecard_markdown,
)
from tasks.judging.examination.stories import Story, read_stories

__all__ = [
    "Check",
    "ExaminationParams",
    "Limit",
    "Rung",
    "Story",
    "axes_not_examined",
    "axes_that_failed",
    "examine",
    "read_ladder",
    "read_reviews",
    "read_stories",
    "read_user_files",
    "scorecard_figures",
    "scorecard_markdown",
]
