"""What the flags about many machines do; runs on a cluster are in test_many_machines.py."""

import pytest

from gradcam_jax.app.many_machines import explain_on_cluster
from gradcam_jax.app.options import Options
from gradcam_jax.errors import InputError
from tests.app.flag_lab import MANY, case


@case("ray", "local", photos=[MANY])
def shows_ray(lab, task):
    asked = ("--task", task, "--images", "photos")
    done, options = lab.command(*asked, "--ray", "auto")
    assert (done, options) == ("machines", Options(task=task, images="photos", ray="auto"))
    assert lab.command(*asked)[0] == MANY


@case("part_size", 7, photos=[MANY])
def shows_part_size(lab, task):
    options = lab.options(task, MANY, ray="local")
    assert options.part_size == 2000
    with pytest.raises(InputError, match="Expected --part_size of 1 or more, got -1"):
        explain_on_cluster(lab.options(task, MANY, ray="local", part_size=-1))
    lab.refuses(task, "--part_size cuts the list for --ray", photos=[MANY], part_size=7)
