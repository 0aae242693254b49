"""Heat maps, overlays, panels and animations, from rows and maps: uint8 RGB arrays, and files of them."""

from gradcam_jax.pictures.files import KINDS as KINDS
from gradcam_jax.pictures.files import run_picture_paths as run_picture_paths
from gradcam_jax.pictures.files import safe_name as safe_name
from gradcam_jax.pictures.files import save as save
from gradcam_jax.pictures.files import save_animation as save_animation
from gradcam_jax.pictures.files import save_photo_pictures as save_photo_pictures
from gradcam_jax.pictures.files import save_run_pictures as save_run_pictures
from gradcam_jax.pictures.maps import centred_gradient_picture as centred_gradient_picture
from gradcam_jax.pictures.maps import gradient_picture as gradient_picture
from gradcam_jax.pictures.maps import grey_map as grey_map
from gradcam_jax.pictures.maps import heat_map as heat_map
from gradcam_jax.pictures.maps import heatmap_of as heatmap_of
from gradcam_jax.pictures.maps import overlay as overlay
from gradcam_jax.pictures.panels import Strip as Strip
from gradcam_jax.pictures.panels import panel as panel
from gradcam_jax.pictures.panels import stacked as stacked
from gradcam_jax.pictures.photo import View as View
from gradcam_jax.pictures.photo import draw_row as draw_row
from gradcam_jax.pictures.photo import panel_of as panel_of
from gradcam_jax.pictures.texts import text_frames as text_frames
from gradcam_jax.pictures.texts import text_panel as text_panel
