"""A finished run as a folder of HTML that opens from disk: summary, gallery, and each photo with its maps."""

from gradcam_jax.report.report import Written as Written
from gradcam_jax.report.report import write_report as write_report
