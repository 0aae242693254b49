"""How the pictures of a command look, from its options: the line under a map, and the style."""

from gradcam_jax.app.options import Options
from gradcam_jax.pictures import Style
from gradcam_jax.tasks.task import Task


def map_label(options: Options) -> str:
    """Returns the line under a map."""
    return "counterfactual" if options.counterfactual else "Grad-CAM"


def style_of(options: Options, task: Task) -> Style:
    """Returns the pictures' style, whose footer says what made the maps."""
    size = f"{task.size}x{task.size} pixels"
    temperature = task.settings.get("temperature")  # None: the scores are logits
    softened = [f"temperature {temperature:g}"] if temperature else []
    footer = ", ".join([task.loaded.name, task.layer, map_label(options), *softened, size, options.dtype])
    return Style(options.colors, options.scale, options.paper, footer, options.panel_format)
