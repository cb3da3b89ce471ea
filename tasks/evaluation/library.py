"""The library `evaluate`, imported without transformers.

Where transformers is installed, `evaluate` loads its pipelines for evaluators that nobody here uses: 9.1 s for an
import instead of 3.9. Whoever imports transformers afterwards gets it whole.
"""

import sys
from types import ModuleType
from typing import Any, cast

HIDDEN = "transformers"


def _imported() -> Any:
    there = HIDDEN in sys.modules
    if not there:
        sys.modules[HIDDEN] = cast(ModuleType, None)  # an import of it now raises ImportError
    try:
        import evaluate
    finally:
        if not there:
            del sys.modules[HIDDEN]
    return evaluate


evaluate = _imported()
