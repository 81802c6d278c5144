"""`HandEstimate` records come in. Messages on topics go out."""
