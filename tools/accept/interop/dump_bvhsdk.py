"""World joint positions as bvhsdk reads them: ``python dump_bvhsdk.py OUT.npz FILE.bvh...``."""

import contextlib
import io
import sys

import bvhsdk
import numpy as np

positions = {}
for path in sys.argv[2:]:
    with contextlib.redirect_stdout(io.StringIO()):
        animation = bvhsdk.ReadFile(path)
    joints = animation.getlistofjoints()
    positions[path] = np.array([[joint.getPosition(frame) for joint in joints] for frame in range(animation.frames)])
np.savez(sys.argv[1], **positions)
