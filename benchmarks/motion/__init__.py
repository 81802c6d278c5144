"""Measures jitter, lag and prediction. Input: image sequences. Output: docs/smoothness.md."""
