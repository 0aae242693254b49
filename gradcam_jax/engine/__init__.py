"""The explanation of a batch, once: cut at the layer, maps, guided gradients, many classes, precision, devices."""
