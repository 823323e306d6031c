"""From archives, folders and drawings to batches."""
