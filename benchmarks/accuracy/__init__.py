"""How near estimates are to the truth, and how honest: images with truth come in, docs/accuracy.md goes out."""
