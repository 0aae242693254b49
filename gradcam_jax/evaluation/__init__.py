"""Whether the answers are right and the maps point at the right place: arrays in, numbers out."""
