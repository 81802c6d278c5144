"""Points, rays, rotations and cameras as arrays. The functions are pure and use neither a hand model nor a neural network."""
