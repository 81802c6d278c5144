"""Place and size of hands with a depth camera and without: rendered RGB-D images come in, docs/depth.md goes out."""
