"""Compares the graph diffusion with its baselines. Input: hands and images. Output: docs/graph.md."""
