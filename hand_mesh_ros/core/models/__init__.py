"""Loads and runs model files: the ONNX wrapper, and the noise schedule and samplers of all diffusion models."""
