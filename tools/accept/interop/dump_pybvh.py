"""World joint positions as pybvh reads them: ``python dump_pybvh.py OUT.npz FILE.bvh...``."""

import sys
import warnings

import numpy as np
import pybvh

warnings.simplefilter("ignore")
np.savez(sys.argv[1], **{path: pybvh.read_bvh_file(path).joint_positions() for path in sys.argv[2:]})
