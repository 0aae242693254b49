"""What is measured of a model on data that was kept apart."""
