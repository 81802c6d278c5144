"""Copies of model files that compute the same faster on a processor: 8-bit weights, and sparse matrices as sums."""
