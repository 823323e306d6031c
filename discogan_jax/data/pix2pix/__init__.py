"""The published pix2pix archives."""
