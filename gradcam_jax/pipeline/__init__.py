"""Millions of images: read, decode, explain and write, all at once, so that a run can be stopped and resumed.

``items`` streams what is to be explained, ``decoders`` are processes that turn files into pixels, ``decoding``
makes batches of these, ``computation`` is the one compiled function, ``run`` moves batches through it, ``store``
writes shards and a manifest that survive a crash at any moment, and ``open_run`` reads them back.
"""

from gradcam_jax.pipeline.computation import Computation as Computation
from gradcam_jax.pipeline.computation import device_function as device_function
from gradcam_jax.pipeline.computation import fitting_batch_size as fitting_batch_size
from gradcam_jax.pipeline.computation import open_store as open_store
from gradcam_jax.pipeline.items import Item as Item
from gradcam_jax.pipeline.items import read_items as read_items
from gradcam_jax.pipeline.progress import Progress as Progress
from gradcam_jax.pipeline.reader import Record as Record
from gradcam_jax.pipeline.reader import Run as Run
from gradcam_jax.pipeline.reader import open_run as open_run
from gradcam_jax.pipeline.run import explain_items as explain_items
from gradcam_jax.pipeline.store import RunStore as RunStore
