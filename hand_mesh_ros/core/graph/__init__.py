"""Graph diffusion: computes whole hand surfaces from parts of a hand: joints, rays, image features."""
