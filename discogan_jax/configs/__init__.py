"""Configs: what is trained, as ml_collections; each opens with its command and what to expect."""
