"""What each flag about files, runs and the machine does, and those that are no option of a run."""

import contextlib

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.app import many_photos
from gradcam_jax.app.answers import list_answers
from gradcam_jax.app.layers import list_layers
from gradcam_jax.app.many_photos import OK, SOME_FAILED, explain_many
from gradcam_jax.app.options import Options
from gradcam_jax.app.start import Place
from gradcam_jax.errors import InputError
from gradcam_jax.pipeline import open_run
from tests.app.flag_cases import FLAG, NAMES, drawn
from tests.app.flag_lab import MANY, ONE, PHOTO, case
from tests.app.small_models import TASKS
from tests.comparison import assert_close

HALF_AND_WHOLE = "float16", "float32"


@case("input_image_path", "photo.png", photos=[ONE])
def shows_input_image_path(lab, task):
    assert lab.one(task).files >= {"explanation.json", "explanation.npz"}
    lab.refuses(task, "'no.jpg' does not exist", photos=[ONE], input_image_path="no.jpg")
    assert lab.command("--input_image_path", "a.jpg") == (ONE, Options(input_image_path="a.jpg"))
    assert lab.command() == (ONE, Options())  # the sample photo


@case("images", "photos", photos=[MANY])
def shows_images(lab, task):
    folder = lab.many(task)
    assert len(open_run(folder.folder)) == 2
    for source in (lab.photos / "*.png", lab.photos / PHOTO):
        said = lab.many(task, images=str(source))
        assert said.names == folder.names
        assert_close(said.cams, folder.cams)
    lab.refuses(task, "Expected a folder, a glob, a list", photos=[MANY], images="nowhere")
    assert lab.command("--images", "photos") == (MANY, Options(images="photos"))


@case("out_path", "elsewhere")
def shows_out_path(lab, task):
    for said in (lab.one(task), lab.many(task)):
        assert said.files == {path.relative_to(said.folder).as_posix() for path in said.folder.rglob("*.*")}
    lab.refuses(task, "Cannot write to", out_path="/proc/here")


@case("output_image_name", "mine", photos=[ONE])
def shows_output_image_name(lab, task):
    said = lab.one(task, output_image_name="mine/own")
    assert any(file.endswith("_gcam_hm_mine_own.png") for file in said.files)
    if task in FLAG:
        both = lab.one(task, output_image_name="mine", **{FLAG[task]: ",".join(NAMES[task])})
        own = [name for name in both.files if "_gcam_hm_mine_" in name]
        assert len(own) == 2


@case("save_as_heatmap", False, photos=[ONE])
def shows_save_as_heatmap(lab, task):
    color, grey = lab.one(task), lab.one(task, save_as_heatmap=False)
    (colored,) = [file for file in color.files if "_gcam_" in file]
    (name,) = [file for file in grey.files if "_gcam_" in file]
    assert name == colored.replace("_hm", "")
    for said, file, mode in ((color, colored, "RGB"), (grey, name, "L")):
        with PIL.Image.open(said.folder / file) as picture:
            assert (picture.mode, picture.size) == (mode, (32, 32))
    options = [lab.command("--save_as_heatmap", number)[1] for number in ("1", "0", "2")]
    assert [one.save_as_heatmap for one in options] == [True, False, False]


@case("save", "all", photos=[MANY])
def shows_save(lab, task):
    folders = {"maps": set(), "overlays": {"overlays"}, "panels": {"panels"}, "all": {"overlays", "panels"}}
    for save, expected in folders.items():
        pictures = [file for file in lab.many(task, save=save).files if file.endswith(".png")]
        assert {file.partition("/")[0] for file in pictures} == expected
        assert len(pictures) == 2 * len(expected)  # one target of each of two photos
    message = "Expected --save maps, overlays, panels or all, got 'everything'"
    lab.refuses(task, message, photos=[MANY], save="everything")
    # The pictures say what one photo's say.
    for options, label in (({}, "Grad-CAM"), ({"counterfactual": True}, "counterfactual")):
        (one, view), (many, other) = drawn(lab, task, **options)
        assert [row.name for row in one.rows] == [row.name for row in many.rows]
        assert [row.title for row in one.rows] == [row.title for row in many.rows]
        assert (one.heading, one.prediction, view.map_label) == (many.heading, many.prediction, label)
        assert view.map_label == other.map_label
        assert (view.box, view.photo.shape) == (other.box, other.photo.shape)


@case("batch_size", 3, photos=[MANY])
def shows_batch_size(lab, task):
    one = lab.many(task)
    for size in (3, 0):
        said = lab.many(task, batch_size=size)
        assert said.names == one.names
        assert_close(said.scores, one.scores, 1e-6)
        # The maps of these random models are sums that nearly cancel: in float32 they are good for 1e-4.
        assert_close(said.cams, one.cams, 2e-4)
    sizes = [lab.command("--images", "x", "--batch_size", text)[1].batch_size for text in ("auto", "12")]
    assert sizes == [0, 12]
    for wrong in ("0", "-2", "some"):
        with pytest.raises(SystemExit, match=f"Expected --batch_size auto or a number from 1, got '{wrong}'"):
            lab.command("--images", "x", "--batch_size", wrong)
    lab.refuses(task, "Expected --batch_size of 0 or more, got -2", photos=[MANY], batch_size=-2)


@case("workers", 3, photos=[MANY])
def shows_workers(lab, task):
    taken = []
    explain = many_photos.explain_items

    def look(*arguments, workers, **options):
        taken.append(workers)
        return explain(*arguments, workers=workers, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many_photos, "explain_items", look)
        patch.setattr(many_photos, "decoding_processes", lambda: 7)
        said = [lab.many(task, workers=number) for number in (3, 0)]
    assert taken == [3, 7]
    assert_close(said[0].cams, said[1].cams, 1e-6)
    lab.refuses(task, "Expected --workers of 0 or more, got -1", photos=[MANY], workers=-1)


@case("scaled_decoding", True, photos=[MANY])
def shows_scaled_decoding(lab, task):
    path = lab.new_folder() / f"{PHOTO}.jpg"
    path.parent.mkdir()
    colors = np.random.default_rng(0).integers(0, 255, (9, 12, 3), np.uint8)
    PIL.Image.fromarray(colors).resize((960, 720), PIL.Image.Resampling.BICUBIC).save(path)
    whole, scaled = (lab.many(task, images=str(path.parent), scaled_decoding=scaled) for scaled in (False, True))
    assert_close(scaled.scores, whole.scores, 0.1)
    assert not np.array_equal(scaled.cams, whole.cams)


@case("fast_decoding", True, photos=[MANY])
def shows_fast_decoding(lab, task):
    pytest.importorskip("cykooz_resizer", reason="needs the extra `fast`")
    exact, fast = (lab.many(task, fast_decoding=fast) for fast in (False, True))
    assert_close(fast.scores, exact.scores, 0.05)  # bytes off by 1
    assert not np.array_equal(fast.cams, exact.cams)
    assert open_run(fast.folder).settings["fast_decoding"] is True


@case("guided_dtype", "float32", photos=[MANY])
def shows_guided_dtype(lab, task):
    runs = [
        open_run(lab.many(task, methods="guided_backprop", guided_dtype=name).folder) for name in HALF_AND_WHOLE
    ]
    half, whole = (next(iter(run.values())).arrays for run in runs)
    assert (half["guided_backprop"].dtype.name, whole["guided_backprop"].dtype.name) == HALF_AND_WHOLE
    for place, expected in enumerate(whole["guided_backprop"]):
        restored = half["guided_backprop"][place].astype(np.float32) * half["guided_backprop_scale"][place]
        assert_close(restored, expected, 2**-11)
    lab.refuses(task, "Expected --guided_dtype float16 or float32, got 'int8'", photos=[MANY], guided_dtype="int8")


@case("report", True, photos=[MANY])
def shows_report(lab, task):
    plain, reported = (lab.many(task, report=report).files for report in (False, True))
    assert not [file for file in plain if file.startswith("report/")]
    assert {"report/index.html", "report/report.js", "report/data/summary.js"} <= reported


@case("retry_failed", True, photos=[MANY])
def shows_retry_failed(lab, task):
    photos = lab.new_folder()
    photos.mkdir()
    (photos / PHOTO).write_bytes(b"no picture")
    options = {"images": str(photos), "out_path": str(lab.new_folder())}
    assert explain_many(lab.options(task, MANY, **options)) == SOME_FAILED
    (photos / PHOTO).write_bytes(lab.photo.read_bytes())
    assert explain_many(lab.options(task, MANY, **options)) == SOME_FAILED
    assert explain_many(lab.options(task, MANY, **options, retry_failed=True)) == OK
    assert_close(open_run(options["out_path"])[PHOTO].arrays["cam"], lab.many(task).cams)


def shows_processes(lab, task):
    folder = str(lab.new_folder())
    for process in range(2):
        explain_many(lab.options(task, MANY, out_path=folder, num_processes=2, process_id=process))
    shared, alone = open_run(folder), open_run(lab.many(task).folder)
    assert set(shared) == set(alone)
    for name, record in alone.items():
        assert_close(shared[name].arrays["cam"], record.arrays["cam"])
    message = r"Expected --process_id from 0 to 1 \(--num_processes 2\), got 2 instead"
    lab.refuses(task, message, photos=[MANY], num_processes=2, process_id=2)


case("num_processes", 2, photos=[MANY])(shows_processes)
case("process_id", 1, photos=[MANY])(shows_processes)


# Flags that are no option of an explanation: only the command knows them.


def shows_joining(lab, task):
    calls = []

    def join(*arguments, from_cluster):
        calls.append((*arguments, from_cluster))
        return Place(1, 4)

    many = ("--task", task, "--images", "photos", "--num_processes", "2", "--process_id", "1")
    for arguments in (("--coordinator", "host:1"), ("--cluster",)):
        kind, options = lab.command(*many, *arguments, patch={"join_processes": join})
        assert (kind, options.process_id, options.num_processes) == (MANY, 1, 4)
        with pytest.raises(SystemExit, match=f"{arguments[0]} is for many photos, not for one photo"):
            lab.command("--task", task, *arguments)
    assert calls == [(2, 1, "host:1", False), (2, 1, "", True)]


case("coordinator", "host:1", photos=[MANY])(shows_joining)
case("cluster", True, photos=[MANY])(shows_joining)


@case("list_layers", True)
def shows_list_layers(lab, task):
    for photos, source in ((ONE, []), (MANY, ["--images", str(lab.photos)])):
        kind, options = lab.command("--list_layers", "--task", task, "--model", f"small_{task}", *source)
        assert kind == "layers"
        lines = []
        list_layers(options, lines.append)
        assert [line.split()[0] for line in lines if line.endswith("(default)")] == [
            lab.both(task).record["layer"]
        ]
        lines = [line.removesuffix("(default)") for line in lines]
        numbered = [line.split() for line in lines if len(line.split()) == 3]
        assert [number for _, _, number in numbered] == ["1", "2", "3", "4", "5", "6"]
        # The number is the layer's name for --layer_name, of one photo and of many.
        name, shape, number = numbered[2]
        said = (lab.one if photos == ONE else lab.many)(task, layer_name=number)
        assert said.record["layer"] == name
        assert "x".join(map(str, said.cams.shape[1:])) == shape.rpartition("x")[0]
    other = TASKS[TASKS.index(task) - 1]
    name, value = {"classification": ("label", "1"), "vqa": ("answer", "dog"), "captioning": ("caption", "a")}[
        other
    ]
    with pytest.raises(InputError, match=f"--{name} is for --task {other}, not for {task}"):
        list_layers(Options(task=task, model=f"small_{task}", **{name: value}), print)


@case("platform", "abacus")
def shows_platform(lab, task):
    for source in ([], ["--images", "photos"]):
        assert lab.command("--platform", "cpu", "--task", task, *source)[1].task == task


@case("compilation_cache", False)
def shows_compilation_cache(lab, task):
    used = []
    patch = {"use_compilation_cache": lambda: used.append(True)}
    for source in ([], ["--images", "photos"]):
        lab.command("--task", task, *source, patch=patch)
        assert not used
        lab.command("--task", task, *source, "--compilation_cache", patch=patch)
        assert used == [True]
        used.clear()


@case("profile", "folder")
def shows_profile(lab, task):
    profiles = []
    patch = {"profiled": lambda folder: profiles.append(folder) or contextlib.nullcontext()}
    for source in ([], ["--images", "photos"]):
        lab.command("--task", task, *source, "--profile", "folder", patch=patch)
        lab.command("--task", task, *source, patch=patch)
    assert profiles == ["folder", ""] * 2


@case("list_answers", True, ["vqa"])
def shows_list_answers(lab, task):
    for source in ([], ["--images", str(lab.photos)]):
        kind, options = lab.command("--list_answers", "--task", task, "--model", f"small_{task}", *source)
        assert kind == "answers"
        lines = []
        list_answers(options, lines.append)
        assert lines == ["5 answers of small_vqa:", "24/7, Cat, dog, no, yes"]
    with pytest.raises(SystemExit, match="--list_answers is for --task vqa, not for captioning"):
        lab.command("--list_answers", "--task", "captioning", patch={"list_answers": list_answers})
