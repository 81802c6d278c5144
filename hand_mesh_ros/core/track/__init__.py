"""Estimates of one image come in. Estimates with ids, smoothed over the images before, go out."""
