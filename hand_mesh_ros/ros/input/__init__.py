"""Messages come in. `Frame` records go out, with their depth, calibration and transforms."""
