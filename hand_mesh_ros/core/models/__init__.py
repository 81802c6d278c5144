"""Model files in, callables out: the ONNX wrapper, the noise schedule and the samplers that the diffusion models share."""
