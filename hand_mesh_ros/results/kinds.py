"""Names of the kinds of files. This module imports nothing, because the help of the command line must be quick."""

# Mesh formats. The name is also the suffix of the file.
MESHES = ("obj", "ply", "glb")
OF_IMAGE = ("overlay", *MESHES, "json", "npz", "csv")
OF_VIDEO = ("overlay", "jsonl", "npz", "csv")
