"""The tasks of the training: batches, losses, validation and export of each model. The training loop calls the tasks."""
