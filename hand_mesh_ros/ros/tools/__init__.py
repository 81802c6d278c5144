"""Other executables: camera, viewer, and the processing of recorded bags."""
