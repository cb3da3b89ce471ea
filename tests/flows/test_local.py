import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest

from flows import local, process


@pytest.fixture(autouse=True)
def _nothing_is_ending() -> Iterator[None]:
    yield
    with process.none_left_behind():  # a new block forgets the end of the last one
        pass


def press_ctrl_c_where_it_is_swallowed() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)


def test_an_interrupt_that_a_library_swallows_ends_the_run_all_the_same() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), local._interrupt_is_heard():
        press_ctrl_c_where_it_is_swallowed()
    assert signal.getsignal(signal.SIGINT) is before


def fail_of_an_interrupt() -> None:
    press_ctrl_c_where_it_is_swallowed()
    raise ValueError("its stage was ended")


def test_what_fails_of_an_interrupt_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), local._interrupt_is_heard():
        fail_of_an_interrupt()


def test_a_failure_without_an_interrupt_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="bad input"), local._interrupt_is_heard():
        raise ValueError("bad input")
