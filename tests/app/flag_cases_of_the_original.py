"""What each flag of the original program does here that is no flag of this one."""

import contextlib
import functools
import io
import json

import pytest

from gradcam_jax.app.original_flags import WITHOUT_MEANING
from tests.app.flag_lab import case

# ramprs/grad-cam: the options of classification.lua, visual_question_answering.lua and captioning.lua.
ORIGINAL_FLAGS = {
    *("seed", "gpuid", "out_path", "save_as_heatmap", "input_image_path", "input_sz", "proto_file", "model_file"),
    *("backend", "layer_name", "output_image_name", "label", "question", "answer", "model_path", "rnn_size"),
    *("input_encoding_size", "rnn_layers", "common_embedding_size", "num_output", "layer", "caption"),
}


@case("model_file", "VGG_ILSVRC_19_layers.caffemodel")
def shows_model_file(lab, task):
    names = {"classification": "vgg19", "vqa": "vqa_vgg19"}
    for source in ([], ["--images", "photos"]):
        arguments = ("--task", task, *source, "--model_file")
        if task in names:
            options = lab.command(*arguments, "models/VGG_ILSVRC_19_layers.caffemodel")[1]
            assert options.model == names[task]
        with pytest.raises(SystemExit, match=r"Expected --model_file .*, got 'file' instead\. A file of your own"):
            lab.command(*arguments, "file")


def shows_that_it_changes_nothing(name, lab, task):
    for source in ([], ["--images", "photos"]):
        for value in ([f"-{name}", "1"], []):
            with contextlib.redirect_stdout(io.StringIO()) as said:
                done = lab.command("--task", task, *source, *value)
            assert done == lab.command("--task", task, *source)
            assert said.getvalue().startswith(f"--{name} changes nothing: ") == bool(value)


for _name in WITHOUT_MEANING:
    case(_name, "1")(functools.partial(shows_that_it_changes_nothing, _name))


@case("model_path", "here")
@case("layer", "3")
def shows_alias(lab, task):
    for source in ([], ["--images", "photos"]):
        for alias, name in {"model_path": "model", "layer": "layer_name"}.items():
            options = [lab.command("--task", task, *source, f"--{flag}", "3")[1] for flag in (alias, name)]
            assert options[0] == options[1]
            assert json.dumps(getattr(options[0], name)) == '"3"'
