"""When a task of a flow is tried again: what the user can mend stays as it is, what came from outside may pass."""

from collections.abc import Callable
from typing import Any

from tasks.stage import UserError

Condition = Callable[[Any, Any, Any], bool]  # of Prefect: the task, its run, the state that it ended in


def unless_mistaken(is_outside: Callable[[UserError], bool]) -> Condition:
    """A condition for `retry_condition_fn`. is_outside: whether such an error is of the world, not of the input."""

    def condition(_task: Any, _run: Any, state: Any) -> bool:
        try:
            state.result()
        except UserError as error:
            return is_outside(error)
        except BaseException:
            return True
        return False

    return condition
