"""Selects the newest image with its depth image, and gives transforms at the stamp of the image. Any message type is possible."""
