"""Readers of other programs' checkpoint files: bytes in, named numpy arrays out. No framework is imported."""
