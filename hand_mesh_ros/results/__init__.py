"""Writes results without ROS. Input: estimates. Output: files with meshes, overlays, JSON, CSV, NPZ and videos."""
