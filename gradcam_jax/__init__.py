"""Grad-CAM, guided backpropagation and Guided Grad-CAM as pure JAX functions."""

__version__ = "0.1.0"
