"""Warnings about images and depth that are wrong in a way that no single message shows."""
