"""A hand of average size comes in, with rays and depth. Its `Location` goes out: place, size and turn in the camera."""
