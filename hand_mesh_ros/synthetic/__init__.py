"""Rendered hands. Input: a seed. Output: images with the true joints, surface and depth."""
