"""The hand perception chain without ROS and without torch: one file a stage, one frozen record per arrow.

Conventions, stated once for the whole package:

- Lengths are metres, angles radians, times seconds. Names carry the unit: `joints_m`, `keypoints_px`.
- Points live in the camera's optical frame: x right, y down, z forward, origin in the optical centre.
- Pixel (0, 0) is the *centre* of the top-left pixel. Images are rgb uint8 in HWC layout.
- The 21 joints follow `topology.JOINT_NAMES`: wrist, then thumb, index, middle, ring, little, each from base to tip.
- A transform is named `target_from_source` and acts as `p_target = R @ p_source + t`.
- Models know right hands only. A left hand is mirrored on the way in and back on the way out, by `mirror` alone.
"""
