"""The graph diffusion beside its baselines: hands and images come in, docs/graph.md goes out."""
