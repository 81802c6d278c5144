"""Selects the newest image with its depth image, and gives transforms at the stamp of the image. Works with any message type."""
