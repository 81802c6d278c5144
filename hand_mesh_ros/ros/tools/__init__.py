"""Other executables: camera, viewer, and offline processing of bags."""
