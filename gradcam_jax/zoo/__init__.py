"""One table of models, and one way to load them.

``MODELS`` says what is known of each model; ``load`` reads one, by its name or from a checkpoint.
"""

from gradcam_jax.zoo.answers import find_answer as find_answer
from gradcam_jax.zoo.checkpoint import Card as Card
from gradcam_jax.zoo.checkpoint import SourceFile as SourceFile
from gradcam_jax.zoo.checkpoint import count_parameters as count_parameters
from gradcam_jax.zoo.checkpoint import read_card as read_card
from gradcam_jax.zoo.checkpoint import read_checkpoint as read_checkpoint
from gradcam_jax.zoo.checkpoint import write_checkpoint as write_checkpoint
from gradcam_jax.zoo.checkpoint import write_views as write_views
from gradcam_jax.zoo.entries import Entry as Entry
from gradcam_jax.zoo.entries import Originals as Originals
from gradcam_jax.zoo.entries import Package as Package
from gradcam_jax.zoo.layers import find_layer as find_layer
from gradcam_jax.zoo.layers import find_layout as find_layout
from gradcam_jax.zoo.layers import map_shape as map_shape
from gradcam_jax.zoo.layers import spatial_layers as spatial_layers
from gradcam_jax.zoo.loaded import Loaded as Loaded
from gradcam_jax.zoo.loaded import example_inputs as example_inputs
from gradcam_jax.zoo.loading import build_model as build_model
from gradcam_jax.zoo.loading import load as load
from gradcam_jax.zoo.loading import random_variables as random_variables
from gradcam_jax.zoo.loading import with_cnn as with_cnn
from gradcam_jax.zoo.naming import is_function_name as is_function_name
from gradcam_jax.zoo.naming import named_preprocessing as named_preprocessing
from gradcam_jax.zoo.own import own_model as own_model
from gradcam_jax.zoo.places import CHECKPOINT_SUFFIX as CHECKPOINT_SUFFIX
from gradcam_jax.zoo.places import CHECKPOINTS_VARIABLE as CHECKPOINTS_VARIABLE
from gradcam_jax.zoo.places import checkpoint_folders as checkpoint_folders
from gradcam_jax.zoo.places import default_path as default_path
from gradcam_jax.zoo.places import get_command as get_command
from gradcam_jax.zoo.places import weights_path as weights_path
from gradcam_jax.zoo.table import DEFAULTS as DEFAULTS
from gradcam_jax.zoo.table import MODELS as MODELS
from gradcam_jax.zoo.table import find as find
