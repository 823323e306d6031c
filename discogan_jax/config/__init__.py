"""A run's settings: their schema, their checks, their flags, and what they describe."""
