"""The models, in Flax Linen: one family a file, NHWC, leading axes free, layers named as in the published nets."""
