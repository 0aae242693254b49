"""Whether answers and captions are right and the maps point at the right place: arrays in, numbers out."""
