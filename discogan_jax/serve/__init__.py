"""The page of `discogan serve`."""
