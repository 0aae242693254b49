"""From a photo's file to what a network takes: numpy and Pillow only, since a decoding process loads no JAX."""
