"""Vocabularies, tokenisers and the names of classes."""
