"""World joint heads as Blender's importer places them: ``python dump_blender.py OUT.npz FILE.bvh...`` (package bpy)."""

import contextlib
import os
import sys
from pathlib import Path

import bpy
import numpy as np

positions = {}
for path in sys.argv[2:]:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with Path(os.devnull).open("w") as sink, contextlib.redirect_stdout(sink):
        # forward Y, up Z keeps the file's own axes
        bpy.ops.import_anim.bvh(filepath=path, axis_forward="Y", axis_up="Z")
    armature = bpy.context.view_layer.objects.active
    scene = bpy.context.scene
    frames = []
    for frame in range(1, int(armature.animation_data.action.frame_range[1]) + 1):
        scene.frame_set(frame)
        frames.append([(armature.matrix_world @ bone.head)[:] for bone in armature.pose.bones])
    positions[path] = np.array(frames)
np.savez(sys.argv[1], **positions)
