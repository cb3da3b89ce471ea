"""One thread, as for the tests of model/: the matrices are as small."""

from tests.model.conftest import _one_thread as _one_thread
