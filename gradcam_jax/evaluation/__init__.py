"""Whether maps point at the right place and agree with each other: arrays in, numbers out."""
