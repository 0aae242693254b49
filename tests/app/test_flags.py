"""Every flag of the command: what it does, alike for one photo and for many, or that it is refused by its name."""

import dataclasses

import pytest

from gradcam_jax.app.options import Options
from tests.app import (  # noqa: F401 - they register cases
    flag_cases,
    flag_cases_of_machines,
    flag_cases_of_own_models,
    flag_cases_of_pictures,
    flag_cases_of_runs,
    flag_cases_of_the_original,
)
from tests.app.flag_lab import CASES, MANY, ONE, Lab, flag_names, option_names
from tests.app.small_models import TASKS, add_small_models

OPTIONS = [name for name in CASES if name in option_names()]
# Answers are indices, as classes are: what these flags change is computed and drawn by the same lines for both.
OF_PHOTOS_AND_PICTURES = (
    *("input_image_path", "images", "out_path", "output_image_name", "save_as_heatmap", "save", "panel_format"),
    *("recipe", "dtype", "guided_dtype", "workers", "scaled_decoding", "report", "retry_failed", "profile"),
)
SHOWN = [
    (flag, task)
    for flag, case in CASES.items()
    for task in TASKS
    if task in case.tasks and not (task == "vqa" and flag in OF_PHOTOS_AND_PICTURES)
]
REFUSED = [
    (flag, task, photos)
    for flag in OPTIONS
    for task in TASKS
    for photos in (ONE, MANY)
    if flag != "images" and (task not in CASES[flag].tasks or photos not in CASES[flag].photos)
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        add_small_models(folder, patch)
        # Compiled alike, one photo and many agree to the last digits; test_start.py compares the two ways.
        patch.setattr("gradcam_jax.app.one_photo.options_for_one_call", dict)
        yield Lab(folder)


def test_every_flag_has_a_case():
    assert set(CASES) == flag_names()
    assert set(option_names()) < set(CASES)
    assert set(OF_PHOTOS_AND_PICTURES) < set(CASES)


@pytest.mark.parametrize(("flag", "task"), SHOWN)
def test_a_flag_does_what_it_says_for_one_photo_and_for_many(lab, flag, task):
    CASES[flag].shows(lab, task)


@pytest.mark.parametrize(("flag", "task", "photos"), REFUSED)
def test_a_flag_without_a_meaning_is_refused_by_its_name(lab, flag, task, photos):
    case = CASES[flag]
    if task not in case.tasks:
        message = f"--{flag} is for --task {' or '.join(case.tasks)}, not for {task}"
    elif photos == ONE:
        message = f"--{flag} is for many photos, not for one photo"
    else:
        message = rf"--{flag} is for one photo, not for many photos \(--images\)"
    lab.refuses(task, message, photos=[photos], **{flag: case.value})


@pytest.mark.parametrize("flag", OPTIONS)
def test_what_is_typed_is_the_option(lab, flag):
    value = CASES[flag].value
    arguments = [f"--{flag}={int(value) if isinstance(value, bool) else value}"]
    expected = Options(**{flag: value})
    if flag == "process_id":
        arguments, expected = [*arguments, "--num_processes=2"], dataclasses.replace(expected, num_processes=2)
    kind, options = lab.command(*arguments)
    assert options == expected
    assert kind == (MANY if flag == "images" else ONE)
    assert value != {field.name: field.default for field in dataclasses.fields(Options)}[flag]
