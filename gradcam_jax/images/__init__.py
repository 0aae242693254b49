"""From a photo's file to what a network takes, with numpy and Pillow only: a decoding process loads no JAX."""

from gradcam_jax.images.photos import read_photo as read_photo
from gradcam_jax.images.preprocessing import PREPROCESSINGS as PREPROCESSINGS
from gradcam_jax.images.preprocessing import Preprocessing as Preprocessing
from gradcam_jax.images.preprocessing import Resized as Resized
from gradcam_jax.images.preprocessing import find_preprocessing as find_preprocessing
from gradcam_jax.images.preprocessing import to_network as to_network
from gradcam_jax.images.preprocessing import to_rgb as to_rgb
from gradcam_jax.images.sample import sample_photo as sample_photo
