"""Random hands: proportions, poses and skin. Input: a seed. Output: skeletons and surfaces."""
