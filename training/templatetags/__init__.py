"""Template filters of the training pages."""
