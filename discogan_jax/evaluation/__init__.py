"""How well a run translates its held-out images.

============  ==================================================================================
module        what it does
============  ==================================================================================
`evaluate`    measures a run: a table of values beside their references
`held_out`    which held-out images are measured, and what cannot be
`scores`      the measures, of translations of any images
`attributes`  the measures for drawn images, whose hue, lightness, pattern and tilt are known
`probe`       a small network, trained within seconds, that predicts numbers from images; the judge
`metrics`     the formulas: arrays in, numbers out
`table`       a measured number with its reference; tables as text, Markdown and JSON
============  ==================================================================================
"""
