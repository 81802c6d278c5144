"""Measures the time per frame of each stage and of MediaPipe Hands. Input: a video. Output: percentiles."""
