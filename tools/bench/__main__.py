"""Every benchmark in one run: ``python -m tools.bench [--corpus DIR] [--pattern REGEX]``.

Needs the ``bench`` extra for the peers. Each benchmark has options of its own: ``python -m tools.bench.NAME --help``.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from motionsynth.processes import child_environment, module_command


def main() -> int:
    """Run the benchmarks one after the other; 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", help="a folder of BVH files; embedded ones are made where it is left out")
    parser.add_argument("--pattern", help="regular expression with named groups for the labels of the corpus")
    parser.add_argument("--threads", default="1", help="CPU threads of the training benchmarks")
    options = parser.parse_args()
    corpus = ["--corpus", options.corpus] if options.corpus else []
    pattern = ["--pattern", options.pattern] if options.pattern else []
    runs = {
        "auto": [],
        "bvh_files": corpus,
        "corpus": corpus + pattern,
        "dense": ["--threads", options.threads],
        "distances": [],
        "kinematics": [],
        "manifold": [],
        "scale": ["--clips", "250", "1000"],
        "suite": corpus + pattern,
        "training": ["--threads", options.threads],
    }
    print(f"{processor()}, Python {platform.python_version()}, torch {version('torch')}, numpy {version('numpy')}")
    failed = []
    for name, arguments in runs.items():
        print(f"\n== {name}", flush=True)
        if subprocess.run(module_command(f"tools.bench.{name}", *arguments), env=child_environment()).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def processor() -> str:
    """Name of the processor, with its cores."""
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    sys.exit(main())
