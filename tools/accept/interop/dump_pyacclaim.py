"""World joint positions as pyacclaim reads them: ``python dump_pyacclaim.py OUT.npz FILE.asf FILE.amc...``."""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyacclaim


def joints_below(bone):
    yield bone
    for child in bone.children:
        yield from joints_below(child)


positions = {}
for asf, amc in zip(sys.argv[2::2], sys.argv[3::2], strict=True):
    with contextlib.redirect_stdout(io.StringIO()), tempfile.NamedTemporaryFile("w", suffix=".amc") as copy:
        skeleton = pyacclaim.loadASF(asf)
        # it keeps a frame when the number of the next one comes, and so loses the last
        copy.write(Path(amc).read_text(encoding="latin-1").rstrip() + "\n0\n")
        copy.flush()
        frames = pyacclaim.loadAMC(skeleton, copy.name)
    root = skeleton["bones"]["root"]
    joints = list(joints_below(root))
    rows = []
    for pose in frames:
        root.set_pose(pose)
        # it tells where a bone ends, which is where the joints below are
        rows.append([(joint.parent or joint).global_coordinate * skeleton["units"]["length"] for joint in joints])
    positions[amc] = np.array(rows)
np.savez(sys.argv[1], **positions)
