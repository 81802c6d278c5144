"""What each model of training needs: batches, losses, validation and export. The training loop calls these."""
