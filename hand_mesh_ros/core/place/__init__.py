"""Computes the `Location` of a hand (position, size and rotation in the camera) from rays and depth."""
