"""A `Frame` comes in. `HandDetection` records go out: where each hand is in the image."""
