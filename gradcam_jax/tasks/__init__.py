"""What can be explained: classes, answers to questions, captions. One file a task, one shape for all."""

from gradcam_jax.tasks.captioning import captioning as captioning
from gradcam_jax.tasks.classification import classification as classification
from gradcam_jax.tasks.methods import METHODS as METHODS
from gradcam_jax.tasks.rows import Description as Description
from gradcam_jax.tasks.rows import Row as Row
from gradcam_jax.tasks.spoken import span_score as span_score
from gradcam_jax.tasks.task import DEFAULT_SETTING as DEFAULT_SETTING
from gradcam_jax.tasks.task import ExplainedPhoto as ExplainedPhoto
from gradcam_jax.tasks.task import Plan as Plan
from gradcam_jax.tasks.task import Setting as Setting
from gradcam_jax.tasks.task import Task as Task
from gradcam_jax.tasks.task import explain_photo as explain_photo
from gradcam_jax.tasks.task import explain_photos as explain_photos
from gradcam_jax.tasks.vqa import vqa as vqa
