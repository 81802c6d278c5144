"""Messages of any kind come in with their stamps. The newest image with its depth, and transforms at its stamp, go out."""
