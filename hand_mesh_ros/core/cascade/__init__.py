"""From a detection to skeleton hypotheses, their meshes and one `Aggregate`. Size and position are still unknown."""
