"""What a person at a terminal may type, and what is said to it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from gradcam_jax.app import main
from gradcam_jax.app.help import help_text
from gradcam_jax.app.options import Options
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.training.configs import EXPERIMENTS
from gradcam_jax.tasks import captioning, explain_photo
from gradcam_jax.text.ilsvrc import find_class
from gradcam_jax.zoo import checkpoint_folders, load
from gradcam_jax.zoo.answers import find_answer
from tests.app.flag_cases_of_the_original import ORIGINAL_FLAGS
from tests.app.flag_lab import MANY, ONE, Lab, flag_names
from tests.app.small_models import add_small_models

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal")
    with pytest.MonkeyPatch.context() as patch:
        add_small_models(folder, patch)
        yield Lab(folder)


def test_every_flag_of_the_original_is_taken():
    assert flag_names() >= ORIGINAL_FLAGS


@pytest.mark.parametrize(
    ("command", "options"),
    [
        # As the original's README has them, but for the scripts' names.
        (
            "-input_image_path images/cat_dog.jpg -label 243 -gpuid 0 -backend nn",
            {"input_image_path": "images/cat_dog.jpg", "label": "243"},
        ),
        (
            "-input_image_path images/cat_dog.jpg -label -1 -layer_name relu5_4 -input_sz 224 -save_as_heatmap 0 "
            "-proto_file models/VGG_ILSVRC_19_layers_deploy.prototxt "
            "-model_file models/VGG_ILSVRC_19_layers.caffemodel -seed 123 -gpuid -1",
            {
                "input_image_path": "images/cat_dog.jpg",
                "label": "-1",
                "layer_name": "relu5_4",
                "input_sz": 224,
                "save_as_heatmap": False,
                "model": "vgg19",
            },
        ),
        (
            "--task vqa -model_path VQA_LSTM_CNN/lstm.t7 -rnn_size 512 -num_output 1000",
            {"task": "vqa", "model": "vqa_vgg19"},
        ),
        (
            "--task captioning -model_path neuraltalk2/model_id1-501-1448236541.t7 -layer 30 -backend cudnn",
            {"task": "captioning", "model": "captioner_vgg16", "layer_name": "30"},
        ),
    ],
)
def test_the_originals_own_commands(lab, command, options):
    assert lab.command(*command.split()) == (ONE, Options(**options))


def test_files_of_two_models_are_refused(lab):
    with pytest.raises(SystemExit, match="belongs to vgg19, not to --model vgg16"):
        lab.command("-model_file", "VGG_ILSVRC_19_layers.caffemodel", "-model", "vgg16")


def test_a_bare_photo_is_a_photo_and_a_folder_or_glob_is_many(lab):
    assert lab.command("photo.jpg") == (ONE, Options(input_image_path="photo.jpg"))
    assert lab.command("photo.jpg", "--label", "boxer")[1].label == "boxer"
    for many in (str(lab.photos), "photos/", "photos/*.jpg", "list.csv", "tfds:voc/test"):
        assert lab.command(many) == (MANY, Options(images=many))
    with pytest.raises(SystemExit, match=r"Expected one photo, .* a glob in quotes"):
        lab.command("a.jpg", "b.jpg")
    with pytest.raises(SystemExit, match=r"one source of photos, got 'a\.jpg' and --images b"):
        lab.command("a.jpg", "--images", "b")


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("cat", ["tabby (282)", "tiger cat (283)", "Egyptian cat (286)"]),
        ("Dogs", ["Maltese dog (154)", "Eskimo dog (249)", "and 2 more"]),
        ("bus", ["school bus (780)"]),
        ("bokser", ["Nearest: boxer (243)"]),
    ],
)
def test_a_label_that_is_no_class_lists_those_with_the_word(name, listed):
    with pytest.raises(InputError) as error:
        find_class(name)
    assert all(one in str(error.value) for one in listed)


def test_a_label_may_be_another_noun_for_the_class():
    assert find_class("tabby cat").name == "tabby"
    assert find_class("puma").name == "cougar"
    assert find_class("polecat").wnid == "n02443114"  # its short name, though a skunk is called so too
    with pytest.raises(InputError, match="means two classes"):
        find_class("crane")


def test_answers_are_stripped_and_the_model_that_knows_one_is_named():
    loaded = load("vqa_lite0")
    assert find_answer(loaded, " Green ") == loaded.labels.find("green")
    with pytest.raises(InputError, match=r"'triangle' is none .* --list_answers\. --model vqa_easy knows it"):
        find_answer(loaded, " triangle")
    with pytest.raises(InputError, match=r"'red and yellow' is none .* vqa_vgg19"):
        find_answer(loaded, "red and yellow")


def test_a_platform_that_is_not_here_says_what_is_missing():
    code = "import sys; sys.argv[1:] = ['--platform', 'tpu']; from gradcam_jax.app.main import run; run()"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert result.returncode == 1
    assert "'tpu' cannot be used here" in result.stderr
    assert "It needs a TPU, and JAX for it:  pip install 'jax[tpu]'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="there is a platform beside the CPU here")
@pytest.mark.parametrize("by_flag", [False, True])
def test_cuda_without_jaxs_plugin_says_what_to_install(by_flag):
    code = "from gradcam_jax.app.main import run; run()"
    command = [sys.executable, "-c", code, *(["--platform", "cuda"] if by_flag else [])]
    environment = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
    environment |= {} if by_flag else {"JAX_PLATFORMS": "cuda"}
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert result.returncode == 1
    assert "'cuda' cannot be used here" in result.stderr
    assert "pip install 'jax[cuda12]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_is_in_groups_and_short_first():
    short, full = (help_text(main.__doc__, main._GROUPS, main._FLAGS, full=full) for full in (False, True))
    for text in (short, full):
        headings = re.findall(r"^(\S.*):$", text, re.MULTILINE)
        assert headings == list(main._GROUPS)
        assert all(f"--{name}" in text or f"--[no]{name}" in text for name in flag_names())
        assert max(map(len, text.splitlines())) <= 115
    assert len(short) < 0.75 * len(full)
    assert "Default:" not in short


def test_every_flag_is_in_a_group():
    assert {name for names in main._GROUPS.values() for name in names} == flag_names()


def test_an_unknown_word_of_a_caption_is_a_line(capsys):
    main._say_warning(UserWarning("The model does not know 'zzz'; read as UNK."), UserWarning, "file.py", 3)
    assert capsys.readouterr().err == "note: The model does not know 'zzz'; read as UNK.\n"


def test_a_captions_two_log_probabilities_are_named_and_its_words_have_strengths(lab):
    task = captioning(load("small_captioning"), caption="a dog word1")
    said = explain_photo(task, lab.photo, methods=("grad_cam",)).description
    named = [line for line in said.lines if "log-probability" in line]
    assert all("log-probability with its end" in line for line in named[:-1])
    assert "log-probability of its words" in named[-1]
    peaks = [max(float(word.cam.max()), 0.0) for word in said.words]
    assert [word["strength"] for word in said.fields["words"]] == pytest.approx(peaks)
    for word, peak in zip(("a", "dog", "word1"), peaks, strict=True):
        assert any(line.split()[0] == word and f"map {peak / max(peaks):.2f}" in line for line in said.lines)


def test_training_does_not_overwrite_a_bundled_checkpoint():
    bundled = [folder.resolve() for folder in checkpoint_folders()]
    files = [preset.checkpoint for presets in EXPERIMENTS.values() for preset in presets.values()]
    assert files
    assert not any((ROOT / file).resolve().parent in bundled for file in files)


def test_nothing_advises_an_install_of_what_no_index_has():
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "gradcam_jax").rglob("*.py"))
    assert "pip install" in code
    assert "pip install gradcam" not in code


def test_the_readmes_commands_are_commands(lab):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(?:python scripts/explain.py|gradcam_jax)(?= )(.*?)(?:#.*)?$", readme, re.MULTILINE)
    assert len(commands) > 4
    for command in commands:
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
        if words != ["--help"]:
            _, options = lab.command(*words)
            assert options.input_image_path in ("", "photo.jpg")  # the reader's own
