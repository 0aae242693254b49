"""Names of a user's own objects, ``package.module:name``, imported as ``python -m`` would."""

import importlib
import os
import re
import sys
from typing import Any

from gradcam_jax.errors import InputError, nearest
from gradcam_jax.images.preprocessing import Preprocessing, find_preprocessing

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def is_function_name(name: str) -> bool:
    """Tells whether a name is ``package.module:function``.

    Example:
        >>> is_function_name("my.models:make"), is_function_name("vgg16"), is_function_name("my.safetensors")
        (True, False, False)
    """
    return bool(_NAME.fullmatch(name))


def import_named(name: str) -> Any:
    """Imports what ``package.module:name`` names, from the current folder too, as ``python -m`` would.

    Raises:
        InputError: If there is no such module, or nothing of this name in it; the nearest are listed.
    """
    module_name, _, path = name.partition(":")
    if module_name.endswith(".py"):
        raise InputError(f"Expected a module's name, got the file's: {module_name[:-3]}:{path}.")
    folder = os.getcwd()
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)  # for good: decoding processes and pickles find the module too
    importlib.invalidate_caches()
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise InputError(
            f"There is no module {error.name!r} for {name!r}, neither installed nor in the current folder "
            f"{folder!r}."
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            near = ", ".join(nearest(part, [known for known in dir(found) if not known.startswith("_")]))
            raise InputError(f"{module_name!r} has no {part!r}." + (f" Nearest: {near}." if near else ""))
        found = getattr(found, part)
    return found


def named_preprocessing(recipe: str) -> Preprocessing:
    """Returns a preprocessing by its name, or one's own by ``package.module:NAME``.

    Raises:
        InputError: If there is none.
    """
    if not is_function_name(recipe):
        return find_preprocessing(recipe)
    found = import_named(recipe)
    if not isinstance(found, Preprocessing):
        raise InputError(
            f"Expected {recipe!r} to be a gradcam_jax.images.Preprocessing, got {type(found).__name__}."
        )
    return found._replace(name=recipe)
