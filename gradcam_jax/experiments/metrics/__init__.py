"""Whether a model's answers and captions are right: texts and arrays in, numbers out."""
