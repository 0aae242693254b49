"""Vocabularies, tokenisers and the names of classes."""

from gradcam_jax.text.pieces import Span as Span
from gradcam_jax.text.pieces import group_pieces as group_pieces
