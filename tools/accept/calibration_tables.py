"""Write the tables of a calibration as Markdown, and draw its pictures.

python tools/accept/calibration_tables.py calibration/NAME [--pictures docs/calibration --name NAME]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from motionsynth.calibration.record import Calibration, load_calibration
from motionsynth.files import write_bytes
from motionsynth.report.calibration import calibration_sections, curve_picture
from motionsynth.report.page import write_markdown

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
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder of tables and dose curves")
    parser.add_argument("--name", default="calibration", help="what their names begin with")
    parser.add_argument("--title", default="", help="what the corpus is called, where not by that name")
    parser.add_argument("--remark", default="", help="Markdown under the heading, such as where the clips are from")
    options = parser.parse_args()
    found = load_calibration(options.calibration)
    draw(found, options.pictures, options.name)
    write_markdown(
        options.pictures / f"{options.name}.md",
        f"{options.title or options.name}: every figure on every axis",
        calibration_sections(found),
        subtitle=f"{found.count} windows a set, {found.config.repeats} repeats, seed {found.config.seed}",
        remark=f"Made by `tools/accept/calibration_tables.py`; do not edit. {options.remark}".rstrip(),
    )
