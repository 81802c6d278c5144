"""Parts of a hand come in: joints, rays, image features. Whole hand surfaces from the graph diffusion go out."""
