"""Settings of a run: schema, validation, flags, and what is built from them."""
