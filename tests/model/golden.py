"""The golden loss curve: `python -m tests.model.golden` writes it again, for a change that means to move it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.model import small

FILE = Path(__file__).parent / "golden_loss.json"
STEPS = 20


def losses(folder: Path) -> list[float]:
    """The training loss in nats of the first steps of a small run."""
    run = small.trainer(small.write_tokens(folder / "tokens"), steps=STEPS)
    return [run.train_step()[0]["train/loss"] for _ in range(STEPS)]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        FILE.write_text(json.dumps([round(loss, 6) for loss in losses(Path(scratch))], indent=1) + "\n")
