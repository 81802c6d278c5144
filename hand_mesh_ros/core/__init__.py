"""The hand perception chain without ROS and without torch. Each stage is one file. Stages exchange frozen records.

Conventions of the whole package:

- Lengths are in metres, angles in radians, times in seconds. Names contain the unit: `joints_m`, `keypoints_px`.
- Points are in the camera's optical frame: x right, y down, z forward, origin in the optical centre.
- Pixel (0, 0) is the *centre* of the top-left pixel. Images are rgb uint8 in HWC layout.
- The 21 joints follow `topology.JOINT_NAMES`: wrist, then thumb, index, middle, ring, little, each from base to tip.
- A transform has the name `target_from_source` and means `p_target = R @ p_source + t`.
- The models process right hands only. `geometry.mirror` mirrors a left hand before the models and mirrors the result back.
"""
