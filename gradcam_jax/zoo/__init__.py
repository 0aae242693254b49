"""One table of models, and one way to load them."""
