"""A seed comes in. Images of rendered hands go out, with the true joints, surface and depth."""
