"""World joint positions as upc-pymotion reads them: ``python dump_pymotion.py OUT.npz FILE.bvh...``."""

import sys

import numpy as np
from pymotion.io.bvh import BVH
from pymotion.ops.skeleton import fk

positions = {}
for path in sys.argv[2:]:
    bvh = BVH()
    bvh.load(path)
    rotations, local, parents, offsets, _, _ = bvh.get_data()
    positions[path], _ = fk(rotations, local[:, 0], offsets, parents)
np.savez(sys.argv[1], **positions)
