"""A detection comes in. Hypotheses of the skeleton, their meshes and one `Aggregate` go out; size and place are open."""
