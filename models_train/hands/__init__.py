"""Random hands: proportions, poses and skin. A seed comes in, skeletons and surfaces go out."""
