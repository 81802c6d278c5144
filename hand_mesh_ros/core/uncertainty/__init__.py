"""Computes the `HandEstimate` with calibrated covariances from an aggregate and its `Location`."""
