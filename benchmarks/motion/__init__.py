"""Jitter, lag and prediction: image sequences come in, docs/smoothness.md goes out."""
