"""Print the tables of ``docs/calibration.md``.

python tools/accept/calibration_tables.py calibration/NAME/calibration.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from motionsynth.calibration.handbook import calibration_markdown
from motionsynth.calibration.record import load_calibration

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("calibration", type=Path)
    print(calibration_markdown(load_calibration(parser.parse_args().calibration)), end="")
