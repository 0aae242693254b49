"""Grad-CAM, guided backpropagation and Guided Grad-CAM as pure JAX functions.

A target score is a pure function of a model's outputs; an explanation is what ``jax.grad`` of that score says
at an intercepted activation (Grad-CAM) and at the pixels (guided backpropagation). Functions take one example;
``jax.vmap`` gives batches, targets and words, ``jax.jit`` one compiled program.
"""

from gradcam_jax.attribution.gradients import Forward as Forward
from gradcam_jax.attribution.gradients import Linearization as Linearization
from gradcam_jax.attribution.gradients import Score as Score
from gradcam_jax.attribution.gradients import linearize as linearize
from gradcam_jax.attribution.gradients import pullback as pullback
from gradcam_jax.attribution.maps import all_negative as all_negative
from gradcam_jax.attribution.maps import channel_weights as channel_weights
from gradcam_jax.attribution.maps import counterfactual_grad_cam as counterfactual_grad_cam
from gradcam_jax.attribution.maps import grad_cam as grad_cam
from gradcam_jax.attribution.pixels import guided_grad_cam as guided_grad_cam
from gradcam_jax.attribution.pixels import input_gradient as input_gradient
from gradcam_jax.attribution.relu_rules import deconv_relu as deconv_relu
from gradcam_jax.attribution.relu_rules import deconv_relu6 as deconv_relu6
from gradcam_jax.attribution.relu_rules import deconvolved as deconvolved
from gradcam_jax.attribution.relu_rules import guided as guided
from gradcam_jax.attribution.relu_rules import guided_relu as guided_relu
from gradcam_jax.attribution.relu_rules import guided_relu6 as guided_relu6
from gradcam_jax.attribution.relu_rules import relu6 as relu6
from gradcam_jax.attribution.resize import corner_aligned_matrix as corner_aligned_matrix
from gradcam_jax.attribution.resize import half_pixel_matrix as half_pixel_matrix
from gradcam_jax.attribution.resize import normalize_max as normalize_max
from gradcam_jax.attribution.resize import normalize_min_max as normalize_min_max
from gradcam_jax.attribution.resize import normalize_symmetric as normalize_symmetric
from gradcam_jax.attribution.resize import resize_corner_aligned as resize_corner_aligned
from gradcam_jax.attribution.resize import resize_half_pixel as resize_half_pixel
from gradcam_jax.engine.explanation import Explanation as Explanation
from gradcam_jax.engine.explanation import explain_targets as explain_targets
from gradcam_jax.engine.image_batches import TargetMaps as TargetMaps
from gradcam_jax.engine.image_batches import explain_images as explain_images
from gradcam_jax.engine.image_batches import map_images as map_images
from gradcam_jax.engine.image_batches import map_targets as map_targets
from gradcam_jax.engine.many_classes import SummedHead as SummedHead
from gradcam_jax.engine.many_classes import map_all_classes as map_all_classes
from gradcam_jax.engine.many_classes import map_classes as map_classes
from gradcam_jax.engine.many_classes import summed_head as summed_head
from gradcam_jax.errors import CheckpointError as CheckpointError
from gradcam_jax.errors import InputError as InputError
from gradcam_jax.errors import LayerError as LayerError
from gradcam_jax.images.photos import read_photo as read_photo
from gradcam_jax.images.preprocessing import to_network as to_network
from gradcam_jax.interception.functions import split_layer_shapes as split_layer_shapes
from gradcam_jax.interception.functions import tapped_split as tapped_split
from gradcam_jax.interception.linen import layer_shapes as layer_shapes
from gradcam_jax.interception.linen import resumed as resumed
from gradcam_jax.interception.linen import tapped as tapped
from gradcam_jax.models.alexnet import alexnet as alexnet
from gradcam_jax.models.alexnet import alexnet_torchvision as alexnet_torchvision
from gradcam_jax.models.convolution import with_prepared_kernels as with_prepared_kernels
from gradcam_jax.models.efficientnet_lite import efficientnet_lite0 as efficientnet_lite0
from gradcam_jax.models.vgg import vgg16 as vgg16
from gradcam_jax.models.vgg import vgg16_torchvision as vgg16_torchvision
from gradcam_jax.models.vgg import vgg19 as vgg19
from gradcam_jax.models.vgg import vgg19_torchvision as vgg19_torchvision
from gradcam_jax.tasks.classification import explain_classes as explain_classes
from gradcam_jax.version import __version__ as __version__
from gradcam_jax.zoo.classifiers import find_entry as find_entry
from gradcam_jax.zoo.classifiers import load_variables as load_variables
