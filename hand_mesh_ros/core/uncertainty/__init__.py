"""An aggregate and its place come in. The `HandEstimate` with calibrated covariances goes out."""
