"""Turns other programs' arrays into this project's variables: one readable table a model."""
