"""Fetches published files: resumable transfers, checked digests, names that hold whole files only."""
