"""Estimates of one image come in. Estimates with ids go out, smoothed over the last images."""
