"""Print the tables of ``docs/calibration.md``, and draw its pictures.

python tools/accept/calibration_tables.py calibration/NAME [--pictures docs/pictures --name NAME]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from motionsynth.calibration.handbook import calibration_markdown
from motionsynth.calibration.record import Calibration, load_calibration
from motionsynth.calibration.report import curve_picture
from motionsynth.files import write_bytes

# one that sees the dose beside one that is blind or misled, for each axis of the verdict
CURVES = (
    ("smoothness/energy_above_5hz_within", "low_pass"),
    ("fidelity/frechet.pca", "low_pass"),
    ("modes/cells_covered", "cells"),
    ("modes/precision.pca", "cells"),
    ("modes/birthday_support.pca", "windows_per_cell"),
    ("smoothness/jerk_ratio_within", "jitter"),
)


def draw(calibration: Calibration, folder: Path, name: str) -> None:
    """Write one SVG for each of the curves."""
    folder.mkdir(parents=True, exist_ok=True)
    for key, kind in CURVES:
        path = folder / f"{name}-{key.partition('/')[2].replace('.', '-')}-{kind}.svg"
        write_bytes(path, curve_picture(calibration, key, kind).svg.encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder to draw dose curves into")
    parser.add_argument("--name", default="calibration", help="what their names begin with")
    options = parser.parse_args()
    found = load_calibration(options.calibration)
    if options.pictures:
        draw(found, options.pictures, options.name)
    print(calibration_markdown(found), end="")
