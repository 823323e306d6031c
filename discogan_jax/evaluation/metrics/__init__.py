"""Measures of images and of features: arrays in, numbers out; no model, no config, no files.

=======================  ======================================================================
module                   what it measures
=======================  ======================================================================
`reconstruction`         differences of images from those that they should equal
`sliced_wasserstein`     distance of a set of images from real ones, without a trained network
`checkerboard`           the grid that up-sampling layers leave
`features`               distance and overlap of two sets of feature vectors
`diversity`              whether outputs still differ as their inputs do
`colour`                 hue, lightness and warmth of objects on white; colour of the border
`attribute_correlation`  how well an attribute of an image is kept by its translation
`inception`              features of the Inception network, for FID and KID
`intervals`              95% confidence intervals of means and shares
`baselines`              real images against each other, and images against wrong partners
=======================  ======================================================================

Everything but Inception is computed on the host in float64 (patches in float32), so numbers do not
depend on the accelerator. Whatever is random takes a seed.
"""
