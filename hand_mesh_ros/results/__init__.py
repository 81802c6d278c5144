"""Estimates come in. Files go out: meshes, pictures, JSON, CSV, NPZ and videos. Needs no ROS."""
