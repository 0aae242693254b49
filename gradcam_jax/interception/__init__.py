"""Ways into a model: each turns one kind of model into ``forward(taps, *inputs) -> (outputs, activations)``."""
