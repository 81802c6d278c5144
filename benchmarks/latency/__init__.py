"""Time of a frame, stage by stage: a video comes in, percentiles go out, beside MediaPipe Hands."""
