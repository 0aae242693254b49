"""Whether maps point at the right place, are faithful to the model, and agree with each other.

Arrays in, numbers out. Where a map lies (pointing games, boxes, energy) is computed on the host, map by map, at
the photo's own size; what the model makes of a changed photo (deletion and insertion, occlusion, ROAD, average
drop) and the sanity check are compiled.
"""

from gradcam_jax.evaluation.agreement import Agreement as Agreement
from gradcam_jax.evaluation.agreement import map_agreement as map_agreement
from gradcam_jax.evaluation.boxes import Truth as Truth
from gradcam_jax.evaluation.boxes import box_iou as box_iou
from gradcam_jax.evaluation.boxes import foreground as foreground
from gradcam_jax.evaluation.boxes import localisation_errors as localisation_errors
from gradcam_jax.evaluation.boxes import map_box as map_box
from gradcam_jax.evaluation.boxes import mask_iou as mask_iou
from gradcam_jax.evaluation.confidence import ConfidenceChange as ConfidenceChange
from gradcam_jax.evaluation.confidence import confidence_change as confidence_change
from gradcam_jax.evaluation.curves import Curve as Curve
from gradcam_jax.evaluation.curves import deletion as deletion
from gradcam_jax.evaluation.curves import insertion as insertion
from gradcam_jax.evaluation.imputation import Road as Road
from gradcam_jax.evaluation.imputation import road as road
from gradcam_jax.evaluation.intervals import Interval as Interval
from gradcam_jax.evaluation.intervals import bootstrap_mean as bootstrap_mean
from gradcam_jax.evaluation.occlusion import occlusion_correlation as occlusion_correlation
from gradcam_jax.evaluation.occlusion import occlusion_drops as occlusion_drops
from gradcam_jax.evaluation.pointing import energy_inside as energy_inside
from gradcam_jax.evaluation.pointing import inside_boxes as inside_boxes
from gradcam_jax.evaluation.pointing import inside_over_outside as inside_over_outside
from gradcam_jax.evaluation.pointing import points_at as points_at
from gradcam_jax.evaluation.pointing import points_within as points_within
from gradcam_jax.evaluation.pointing import rejection_hits as rejection_hits
from gradcam_jax.evaluation.pointing import rejection_threshold as rejection_threshold
from gradcam_jax.evaluation.sanity import Cascade as Cascade
from gradcam_jax.evaluation.sanity import cascading_randomisation as cascading_randomisation
