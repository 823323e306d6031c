"""The parts of `evaluate`: arrays in, rows of a table out; no run, no config, no files.

========  ==========================================================================
module    what it does
========  ==========================================================================
`rows`    a measured number beside what to read it with; tables of them
`reader`  a small network that learns, on the spot, to read numbers from real images
`scores`  what is measured of translations of any images
`truth`   what is measured where every image's hue, pattern and tilt are known
========  ==========================================================================
"""
