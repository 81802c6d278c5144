"""Measures position and size of hands with and without a depth camera. Input: rendered RGB-D images. Output: docs/depth.md."""
