"""Portable clips whose joints had names that programs mix up, for ``compare.py``.

    python tools/accept/interop/awkward_names.py CLIP.bvh FOLDER

Writes the clip once for each kind of names, and the same with ``--keep-names`` into ``FOLDER/kept``, where the readers
are to fail on some: the control.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from motionsynth import read_bvh, to_portable, write_bvh
from motionsynth.motion.names import rename_joints

KINDS: dict[str, Callable[[str, int], str]] = {
    "mixamo": lambda name, _: f"mixamorig:{name}",
    "biped": lambda name, joint: f"Bip01 {'LR'[joint % 2]} {name}",
    "bracket": lambda name, joint: f"Joint[{joint}]",
    "dotted": lambda name, joint: f"{name}.{joint:03}",
    "last_word": lambda name, joint: f"rig{joint}.bones",
    "path": lambda name, joint: f"|rig/{name}",
    "chinese": lambda name, joint: f"骨 {joint}" if joint % 2 else f"骨：{joint}",
    "same": lambda name, joint: ("Hips", "Hips_2", "Leg L", "Leg_L", "Leg.L")[joint % 5],
    "end_site": lambda name, joint: "ENDSITE" if joint % 2 else "EndSite",
    "keywords": lambda name, joint: ("HIP_ROOT", "JOINT MOTION", "End Site", "LOCOMOTION")[joint % 4] + str(joint),
    "long": lambda name, joint: "x" * 70 + str(joint),
}


def main() -> None:
    """Write both folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    clip = read_bvh(arguments.clip)
    (arguments.folder / "kept").mkdir(parents=True, exist_ok=True)
    for kind, rename in KINDS.items():
        names = [rename(name, joint) for joint, name in enumerate(clip.skeleton.names)]
        awkward = rename_joints(clip, names)
        write_bvh(to_portable(awkward), arguments.folder / f"{kind}.bvh")
        write_bvh(to_portable(awkward, keep_names=True), arguments.folder / "kept" / f"{kind}.bvh")


if __name__ == "__main__":
    main()
