# The verb, and what it takes and returns.
from .engine.explanation import Explanation as Explanation
from .engine.explanation import explain as explain
from .engine.many_classes import with_summed_head as with_summed_head
from .engine.prepared import prepared as prepared
from .engine.spec import all_classes as all_classes
from .engine.spec import class_score as class_score
from .engine.spec import top_k as top_k
from .engine.suggestion import Suggestion as Suggestion
from .engine.suggestion import suggest_layer as suggest_layer

# Maps of more than one pass: without channels, through channels, without parts of the image, averaged.
from .engine.averaged import augmented_cam as augmented_cam
from .engine.averaged import smooth_grad_cam as smooth_grad_cam
from .engine.perturbed import ablation_cam as ablation_cam
from .engine.perturbed import occlusion as occlusion
from .engine.perturbed import rise as rise
from .engine.perturbed import score_cam as score_cam

# Scores of other targets than a class, and of the captions of the models here.
from .engine.scores import detection_score as detection_score
from .engine.scores import difference_score as difference_score
from .engine.scores import finer_score as finer_score
from .engine.scores import probability_score as probability_score
from .engine.scores import score_of as score_of
from .engine.scores import segmentation_score as segmentation_score
from .engine.scores import similarity_score as similarity_score
from .engine.scores import softened_score as softened_score
from .engine.tokens import next_token_score as next_token_score
from .engine.tokens import token_score as token_score
from .engine.tokens import token_targets as token_targets
from .tasks.spoken import span_score as span_score

# Ways into a model.
from .interception.functions import tapped_functions as tapped_functions
from .interception.modules import tapped as tapped
from .interception.tapped import Tapped as Tapped
from .interception.tapped import layer_shapes as layer_shapes
from .interception.tapped import rectifiers as rectifiers

# What explain is made of: gradients of one score of one example, and backward rules of rectifiers.
from .attribution.gradients import LayerGrads as LayerGrads
from .attribution.gradients import layer_grads as layer_grads
from .attribution.gradients import layer_vjp as layer_vjp
from .attribution.pixels import input_grad as input_grad
from .attribution.pixels import integrated_gradients as integrated_gradients
from .attribution.pixels import smooth_grad as smooth_grad
from .attribution.relu_rules import deconvolved as deconvolved
from .attribution.relu_rules import guided as guided

# From activations and gradients to maps.
from .attribution.channelwise import grad_cam_plusplus as grad_cam_plusplus
from .attribution.channelwise import x_grad_cam as x_grad_cam
from .attribution.eigen import eigen_cam as eigen_cam
from .attribution.eigen import eigen_grad_cam as eigen_grad_cam
from .attribution.fusion import fuse_maps as fuse_maps
from .attribution.layouts import channels_first as channels_first
from .attribution.layouts import channels_last as channels_last
from .attribution.layouts import token_grid as token_grid
from .attribution.maps import all_negative as all_negative
from .attribution.maps import counterfactual_grad_cam as counterfactual_grad_cam
from .attribution.maps import grad_cam as grad_cam
from .attribution.pixels import guided_grad_cam as guided_grad_cam
from .attribution.positionwise import grad_cam_elementwise as grad_cam_elementwise
from .attribution.positionwise import hires_cam as hires_cam
from .attribution.positionwise import layer_cam as layer_cam

# From raw maps to pictures' values.
from .attribution.resize import normalize_max as normalize_max
from .attribution.resize import normalize_min_max as normalize_min_max
from .attribution.resize import normalize_symmetric as normalize_symmetric
from .attribution.resize import resize_corner_aligned as resize_corner_aligned
from .attribution.resize import resize_half_pixel as resize_half_pixel

# Errors that a message tells how to mend.
from .errors import CheckpointError as CheckpointError
from .errors import InputError as InputError
from .errors import LayerError as LayerError

# Rooms: models, photos, known checkpoints, tasks, pictures, runs over many photos, tests of maps.
from . import evaluation as evaluation
from . import images as images
from . import models as models
from . import pictures as pictures
from . import pipeline as pipeline
from . import tasks as tasks
from . import text as text
from . import zoo as zoo

__version__: str
