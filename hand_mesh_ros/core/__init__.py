"""The hand perception chain without ROS and without torch: one file per stage, one frozen record between two stages.

Conventions of the whole package:

- Lengths are metres, angles radians, times seconds. Names carry the unit: `joints_m`, `keypoints_px`.
- Points live in the camera's optical frame: x right, y down, z forward, origin in the optical centre.
- Pixel (0, 0) is the *centre* of the top-left pixel. Images are rgb uint8 in HWC layout.
- The 21 joints follow `topology.JOINT_NAMES`: wrist, then thumb, index, middle, ring, little, each from base to tip.
- A transform is named `target_from_source` and acts as `p_target = R @ p_source + t`.
- The models know right hands only. `geometry.mirror` mirrors a left hand before the models, and mirrors the result back.
"""
