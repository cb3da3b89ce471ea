"""Runs a module as `python -m` does, and writes the highest resident memory of the process: FILE MODULE OPTIONS.

ru_maxrss, which a stage's own timings hold, starts at what the process that started it holds (getrusage(2) counts the
memory before exec), and the study holds torch itself.
"""

import json
import resource
import runpy
import sys
from pathlib import Path


def peak_mib() -> float:
    """The highest resident memory of this process since its program was loaded, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # not on Linux: an upper bound


def main() -> None:
    """Runs the module; what it is ended by passes through."""
    file, module, *options = sys.argv[1:]
    sys.argv = [module, *options]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    Path(file).write_text(json.dumps({"peak_rss_mib": round(peak_mib(), 1)}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
