"""Measures the error and the calibration of the estimates. Input: images with truth. Output: docs/accuracy.md."""
