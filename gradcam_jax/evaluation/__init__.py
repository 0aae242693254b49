"""How good models and their maps are: arrays and texts in, numbers out."""
