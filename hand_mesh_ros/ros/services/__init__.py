"""Services and the action beside the stream of images: requests come in, answers go out."""
