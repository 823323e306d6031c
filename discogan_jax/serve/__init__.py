"""A run as a web page where pictures are dropped and translated. Needs the extra ``serve``."""
