"""Millions of images: read, decode, explain and write, all at once, so that a run can be stopped and resumed.

``items`` streams what is to be explained, ``decoding`` turns files into arrays in threads, ``device`` is the one
compiled function, ``run`` moves batches through it, ``store`` writes shards and a manifest that survive a crash at
any moment, and ``open_run`` reads them back.
"""

from gradcam_jax.pipeline.reader import open_run as open_run
