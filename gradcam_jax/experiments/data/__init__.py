"""Photos, boxes, questions and cached features as numpy records; nothing here knows a model's parameters."""
