"""Do other programs place clips where we do: ours as BVH, those of others as AMC?

    python tools/accept/interop/compare.py FOLDER [--work build/interop] [--reader blender]...

Makes an environment for each reader under ``--work`` (pybvh, bvhsdk, upc-pymotion, Blender's bpy, three.js under node;
pyacclaim for AMC), lets it read every BVH file of FOLDER, or every AMC file, and prints the largest difference of any
joint at any frame as a share of the skeleton's height. Exits with 1 where a reader differs by more than 1e-4.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np

import motionsynth
from motionsynth.motion.amc import find_asf
from motionsynth.motion.measure import skeleton_height

HERE = Path(__file__).parent
PACKAGES = {
    "pybvh": ["pybvh==0.9.0"],
    "bvhsdk": ["bvhsdk==0.2.1"],
    "pymotion": ["torch==2.13.0", "upc-pymotion==0.3.4"],
    "blender": ["bpy==5.0.1"],
    "pyacclaim": ["numpy", "pyacclaim==0.0.1"],
}
OF_AMC = ("pyacclaim",)
TOLERANCE = 1e-4


def main() -> int:
    """Run every reader and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build/interop"))
    parser.add_argument("--reader", action="append", choices=[*PACKAGES, "three"])
    arguments = parser.parse_args()
    found = {suffix: sorted(map(str, arguments.folder.resolve().glob(f"*.{suffix}"))) for suffix in ("bvh", "amc")}
    worst_of_all = 0.0
    print(f"{'reader':10} {'files':>5} {'frames':>7} {'largest difference / height':>28}")
    for reader in arguments.reader or [*PACKAGES, "three"]:
        files = found["amc" if reader in OF_AMC else "bvh"]
        if not files:
            continue
        ours = {file: motionsynth.read_clip(file) for file in files}
        theirs = read_with(reader, files, arguments.work)
        worst = max(
            float(np.abs(theirs[file] - clip.positions()).max()) / skeleton_height(clip) for file, clip in ours.items()
        )
        print(f"{reader:10} {len(files):5} {sum(map(len, ours.values())):7} {worst:28.2e}")
        worst_of_all = max(worst_of_all, worst)
    return int(not worst_of_all <= TOLERANCE)


def read_with(reader: str, files: list[str], work: Path) -> dict[str, np.ndarray]:
    """World positions (T, J, 3) of each file as another program sees them."""
    folder = (work / reader).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if reader == "three":
        if not (folder / "node_modules").is_dir():
            subprocess.run(["npm", "install", "--silent", "--prefix", folder, "three@0.187.0"], check=True)
        script = folder / "dump_three.mjs"
        script.write_bytes((HERE / "dump_three.mjs").read_bytes())  # node finds packages beside the script
        out = folder / "positions.json"
        subprocess.run(["node", script, out, *files], check=True)
        return {file: np.array(positions) for file, positions in json.loads(out.read_text()).items()}
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "venv", with_pip=True)
        for package in PACKAGES[reader]:
            subprocess.run([python, "-m", "pip", "install", "--quiet", package], check=True)
    out = folder / "positions.npz"
    inputs = [name for file in files for name in (find_asf(Path(file)), file)] if reader in OF_AMC else files
    subprocess.run([python, HERE / f"dump_{reader}.py", out, *inputs], check=True)
    with np.load(out) as archive:
        return {file: archive[file] for file in files}


if __name__ == "__main__":
    sys.exit(main())
