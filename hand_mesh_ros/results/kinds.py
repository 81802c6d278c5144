"""Names of the files that can be written. This module imports nothing, since the help of the command line reads it."""

# Mesh formats: the suffix of the file.
MESHES = ("obj", "ply", "glb")
OF_IMAGE = ("overlay", *MESHES, "json", "npz", "csv")
OF_VIDEO = ("overlay", "jsonl", "npz", "csv")
