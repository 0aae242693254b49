"""Fetches the published files: one address list, resumable transfers, checked digests, atomic names."""
