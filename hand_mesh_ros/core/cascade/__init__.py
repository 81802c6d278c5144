"""Computes skeleton hypotheses of a detection, their meshes and one `Aggregate`. Size and position are still unknown."""
