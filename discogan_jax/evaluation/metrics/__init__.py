"""What is measured on images: arrays in, numbers out; no model, no config, no files.

================  ===================================================================
module            what it tells
================  ===================================================================
`reconstruction`  how near images are to others that they should equal
`realism`         how near a set of images is to real ones, without a trained network
`checkerboard`    whether up-sampling left its grid
`distances`       how far two sets of feature vectors are apart
`overlap`         whether two sets of feature vectors lie in the same places
`collapse`        whether outputs still differ as their inputs do
`colour`          foreground, hue and lightness of objects on white
`kept`            what of an attribute an image shares with its translation
================  ===================================================================

Everything is computed on the host in float64 (the patches of `realism` in float32), so numbers do
not depend on the accelerator, and chance is a seed among the arguments.
"""
