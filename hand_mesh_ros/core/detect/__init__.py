"""A `Frame` comes in. `HandDetection` records go out. They contain the position of each hand in the image."""
