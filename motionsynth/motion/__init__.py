"""The skeleton, the clip, and what can be done to them: files, rotations, kinematics, resampling."""
