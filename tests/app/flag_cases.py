"""What each flag about the model and the question does, for one photo and for many alike."""

import math

import numpy as np
import pytest

from gradcam_jax.app import drawing, many_photos, one_photo
from gradcam_jax.errors import InputError
from gradcam_jax.tasks.methods import GRADIENT_MAPS
from gradcam_jax.text.captions import caption_words
from tests.app.flag_lab import MANY, ONE, case
from tests.app.small_models import TASKS
from tests.comparison import assert_close, relative_error

INDICES = ("classification", "vqa")
FLAG = {"classification": "label", "vqa": "answer"}
NAMES = {"classification": ("boxer", "tabby"), "vqa": ("yes", "Cat")}  # none is among the highest predictions


@case("task", "vqa")
def shows_task(lab, task):
    assert lab.both(task).record["task"] == task
    lab.refuses(task, "Expected --task classification, vqa or captioning, got 'vqas'", task="vqas")


@case("model", "small_vqa")
def shows_model(lab, task):
    by_name, path = lab.both(task), str(lab.folder / f"small_{task}.safetensors")
    by_path = lab.both(task, model=path)
    assert by_path.record["model"] == by_name.record["model"] == f"small_{task}"
    assert_close(by_path.cams, by_name.cams, 1e-6)
    lab.refuses(task, "There is no model or file 'small'. Nearest: small_", model="small")
    other = f"small_{TASKS[TASKS.index(task) - 1]}"
    lab.refuses(task, f"{other} (is no|answers no)", model=other)
    assert lab.command("--model", "here")[1].model == lab.command("--model_path", "here")[1].model == "here"


def shows_targets(lab, task, flag):
    first, second = NAMES[task]
    both = lab.both(task, **{flag: f"{first},{second}"})
    assert both.names == [first, second]
    predicted = lab.both(task)
    assert len(predicted.names) == 1
    assert lab.both(task, **{flag: "-1"}).names == predicted.names
    highest = lab.both(task, top_k=2).names
    # -1 stands for the highest predictions in its place, and what stands twice is explained once.
    assert lab.both(task, **{flag: f"{first},-1"}, top_k=2).names == [first, *highest]
    assert lab.both(task, **{flag: f"-1,{first}"}, top_k=2).names == [*highest, first]
    assert lab.both(task, **{flag: f"{first}, {first},{highest[0]},-1"}).names == [first, highest[0]]
    # A line of a list says the same by itself, whatever the flag says.
    question = {"question": "What animal?"} if task == "vqa" else {}
    assert lab.line(task, {flag: first, **question}, **{flag: second}).names == [first]
    named = {flag: f"{first},-1", **question}
    assert lab.line(task, named, top_k=2, max_targets=3).names == [first, *highest]
    lab.refuses(task, r"Expected \w+, comma-separated, or -1 for the predicted ones, got ' , '", **{flag: " , "})
    lab.refuses(task, "Nearest: ", **{flag: f"{first}{first}"})


@case("label", "boxer", ["classification"])
def shows_label(lab, task):
    shows_targets(lab, task, "label")
    assert lab.both(task, label="243").names == lab.both(task, label="n02108089").names == ["boxer"]


@case("answer", "dog", ["vqa"])
def shows_answer(lab, task):
    shows_targets(lab, task, "answer")
    assert lab.both(task, answer=" DOG").names == ["dog"]


@case("question", "Is there a dog?", ["vqa"])
def shows_question(lab, task):
    default, asked = lab.both(task), lab.both(task, question="Is there a dog?")
    assert default.others["word_importances"].shape[1] == 3  # What animal ?
    assert asked.others["word_importances"].shape[1] == 5
    assert asked.record["question"] == "Is there a dog?"
    assert relative_error(asked.others["top"], default.others["top"]) > 1e-4
    lab.line(task, {"question": "Is there a dog?"}, question="What dog?")
    # Of many photos a question without a word is wrong only where no line brings another.
    lab.refuses(task, "Expected a question", photos=[ONE], question=" ")


@case("caption", "a dog", ["captioning"])
def shows_caption(lab, task):
    assert lab.both(task, caption="A dog!").names == ["a dog"]
    written = lab.both(task)
    assert written.names == [written.record["generated"][0]["caption"]]
    assert lab.both(task, caption=" ").names == written.names
    assert lab.line(task, {"caption": "Dog"}, caption="a dog").names == ["dog"]
    lab.refuses(task, "at least one letter or digit", caption="?!")


@case("phrases", "a dog", ["captioning"], [ONE])
def shows_phrases(lab, task):
    said = lab.one(task, caption="a dog word1", phrases="a dog, word1")
    assert [phrase["phrase"] for phrase in said.record["phrases"]] == ["a dog", "word1"]
    with np.load(said.folder / "explanation.npz") as arrays:
        assert_close(arrays["phrase_cams"][0], arrays["word_cams"][:2].sum(axis=0))
    with pytest.raises(InputError, match="The phrase 'cat' does not occur"):
        lab.one(task, caption="a dog", phrases="cat")


@case("keep_case", True, ["captioning"])
def shows_keep_case(lab, task):
    lowered, kept = lab.both(task, caption="Dog dog"), lab.both(task, caption="Dog dog", keep_case=True)
    assert (lowered.names, kept.names) == (["dog dog"], ["Dog dog"])
    assert caption_words("Dog dog", lower=False) == ("Dog", "dog")
    assert lab.line(task, {"caption": "Dog"}, keep_case=True).names == ["Dog"]


@case("beam_size", 1, ["captioning"])
def shows_beam_size(lab, task):
    for width in (1, 2):
        said = lab.both(task, beam_size=width)
        assert 1 <= len(said.record["generated"]) <= width
        assert lab.many(task, beam_size=width).record["beam_size"] == width
    lab.refuses(task, "Expected a beam of 1 to 31", beam_size=0)
    lab.refuses(task, "Expected a beam of 1 to 31", beam_size=32)


@case("length_exponent", 0.0, ["captioning"])
def shows_length_exponent(lab, task):
    for exponent in (0.0, 2.0):
        said = lab.both(task, length_exponent=exponent)
        ranks = [
            one["log_prob"] / min(len(one["caption"].split()) + 1, 16) ** exponent
            for one in said.record["generated"]
        ]
        assert ranks == sorted(ranks, reverse=True)
        assert lab.many(task, length_exponent=exponent).record["length_exponent"] == exponent
    assert lab.both(task).names == lab.both(task, length_exponent=0.5).names


@case("temperature", 4.0, ["vqa", "captioning"])
def shows_temperature(lab, task):
    asked = {"answer": "dog"} if task == "vqa" else {"caption": "a dog"}
    original = math.inf if task == "vqa" else 1.0
    own, plain, warm = (lab.both(task, temperature=number, **asked) for number in (0.0, original, 4.0))
    assert_close(own.scores, plain.scores, 1e-6)
    assert_close(own.cams, plain.cams, 1e-6)
    assert relative_error(warm.scores, own.scores) > 1e-2
    assert relative_error(warm.cams, own.cams) > 1e-3
    assert lab.many(task, temperature=4.0).record["temperature"] == 4
    lab.refuses(task, "Expected a temperature over 0", temperature=-1.0)


@case("top_k", 2, INDICES)
def shows_top_k(lab, task):
    said = lab.both(task, top_k=3)
    key = "name" if task == "classification" else "answer"
    assert said.names == [one[key] for one in said.record["predictions"][:3]]
    assert sorted(said.scores, reverse=True) == said.scores.tolist()
    count = 1000 if task == "classification" else 5
    for wrong in (0, count + 1):
        lab.refuses(task, f"Expected --top_k from 1 to {count}, got {wrong}", top_k=wrong)
    name = NAMES[task][0]
    message = f"--top_k 2 needs -1, the predictions, among --{FLAG[task]}, got '{name}' instead"
    lab.refuses(task, message, top_k=2, **{FLAG[task]: name})


@case("max_targets", 4, INDICES, [MANY])
def shows_max_targets(lab, task):
    flag, (first, second) = FLAG[task], NAMES[task]
    request = {flag: f"{first},{second}"}
    few, more = lab.many(task, **request), lab.many(task, **request, max_targets=4)
    assert (few.record["places"], more.record["places"]) == (2, 4)
    assert few.names == more.names == [first, second]
    assert_close(more.cams, few.cams)
    with pytest.raises(InputError, match=r"other settings \(places: 2, now 4\)"):
        many_photos.explain_many(lab.options(task, MANY, **request, max_targets=4, out_path=str(few.folder)))
    lab.refuses(task, "got 2 .* Ask for more:  --max_targets 2", photos=[MANY], **request, max_targets=1)
    lab.refuses(task, "Expected --max_targets of 0 or more, got -1", photos=[MANY], max_targets=-1)


@case("counterfactual", True)
def shows_counterfactual(lab, task):
    plain, counterfactual = lab.both(task), lab.both(task, counterfactual=True)
    assert_close(counterfactual.cams, -plain.cams, 1e-6)
    assert counterfactual.record["method"] == "counterfactual_grad_cam"
    with pytest.raises(InputError, match=r"other settings \(map: 'grad_cam', now 'counterfactual_grad_cam'\)"):
        many_photos.explain_many(lab.options(task, MANY, counterfactual=True, out_path=str(lab.many(task).folder)))


@case("layer_name", "relu1_1")
def shows_layer_name(lab, task):
    own, prefix = lab.both(task), "" if task == "classification" else "cnn/"
    assert (own.record["layer"], own.cams.shape[-2:]) == (f"{prefix}relu2_1", (16, 16))
    named = lab.both(task, layer_name="relu1_1")
    assert (named.record["layer"], named.cams.shape[-2:]) == (f"{prefix}relu1_1", (32, 32))
    numbered = lab.both(task, layer_name="2")
    assert numbered.record["layer"] == f"{prefix}relu1_1"
    assert_close(numbered.cams, named.cams, 1e-6)
    lab.refuses(task, "relu2_1", layer_name="relu9_1")
    lab.refuses(task, "a layer number from 1 to 6, got 7", layer_name="7")
    lab.refuses(task, "no spatial extent", layer_name="fc6")
    assert lab.command("--layer", "x")[1].layer_name == lab.command("--layer_name", "x")[1].layer_name == "x"


@case("input_sz", 48)
def shows_input_sz(lab, task):
    said = lab.both(task, input_sz=48)
    assert (said.record["input_size"], said.cams.shape[-2:]) == (48, (24, 24))
    with np.load(said.folder / "explanation.npz") as arrays:
        assert arrays["heatmap"].shape[-2:] == (48, 48)
    for wrong in (8, 5000, -1):
        lab.refuses(task, f"Expected --input_sz from 32 to 4096 pixels, got {wrong}", input_sz=wrong)


@case("recipe", "caffe_alexnet")
def shows_recipe(lab, task):
    own, said = lab.both(task), lab.both(task, recipe="caffe_alexnet", input_sz=32)
    assert said.record["recipe"] == "caffe_alexnet" != own.record["recipe"]
    assert relative_error(said.cams, own.cams) > 1e-3
    lab.refuses(task, "There is no recipe 'alexnet'. Nearest: caffe_alexnet", recipe="alexnet")


@case("methods", "guided_backprop")
def shows_methods(lab, task):
    maps = lab.both(task, methods="grad_cam")
    assert not {"guided_backprop", "guided_grad_cam"} & maps.others.keys()
    everything = lab.both(task, methods="grad_cam, guided_backprop,guided_grad_cam")
    assert {"guided_backprop", "guided_grad_cam"} < everything.others.keys()
    assert_close(everything.cams, maps.cams, 1e-5)
    one = lab.both(task, methods="guided_backprop")
    assert {"guided_backprop", "guided_grad_cam"} & one.others.keys() == {"guided_backprop"}
    assert not any("gb_gcam" in file for file in one.files)
    # By default everything of one photo, maps of many.
    assert lab.one(task, methods="").files == everything.files
    assert lab.many(task, methods="").others.keys() == maps.others.keys()
    shows_maps_of_other_methods(lab, task)
    shows_maps_by_evaluations(lab, task)
    lab.refuses(task, "There is no method 'hirescam'. Nearest: hires_cam", methods="hirescam")


def shows_maps_of_other_methods(lab, task):
    # Of answers and captions two: the others are functions of the same pair of arrays.
    methods = GRADIENT_MAPS if task == "classification" else ("layer_cam", "eigen_cam")
    maps, said = lab.both(task, methods="grad_cam"), lab.both(task, methods=",".join(methods))
    assert set(methods) == said.others.keys() - maps.others.keys() - {f"word_{method}" for method in methods}
    assert_close(said.cams, maps.cams, 1e-5)
    (overlay,) = [file for file in maps.files if "_overlay_" in file]
    prefix, name = overlay.split("_overlay_")
    for method in methods:
        assert said.others[method].shape == said.cams.shape
        assert {f"{prefix}_{method}_hm_{name}", f"{prefix}_{method}_overlay_{name}"} <= said.files
        if task == "captioning":
            assert said.others[f"word_{method}"].shape == said.others["word_cams"].shape
    fields = said.record if task == "captioning" else said.record["targets"][0]
    assert list(fields["maps"]) == list(methods)
    drawn = lab.many(task, methods="layer_cam", save="all")
    assert sum(file.endswith("_layer_cam.png") for file in drawn.files) == 2
    with pytest.raises(InputError, match=r"other settings \(methods: .*'layer_cam'\], now \['grad_cam'\]\)"):
        many_photos.explain_many(lab.options(task, MANY, out_path=str(drawn.folder)))
    message = "--counterfactual is for grad_cam alone, not for hires_cam, layer_cam"
    lab.refuses(task, message, methods="layer_cam,hires_cam", counterfactual=True)


def shows_maps_by_evaluations(lab, task):
    maps = lab.both(task, methods="grad_cam")
    if task == "captioning":
        message = "--methods finer_cam is for --task classification or vqa, not for captioning"
        lab.refuses(task, message, methods="finer_cam")
        return
    named = {
        "classification": ("finer_cam", "score_cam", "smooth_grad_cam", "augmented_cam"),
        "vqa": ("finer_cam", "ablation_cam"),
    }[task]
    said = lab.both(task, 1e-4, methods=",".join(named))
    assert said.names == maps.names
    assert_close(said.cams, maps.cams, 1e-5)
    for method in named:
        assert said.others[method].shape == maps.cams.shape
        assert np.abs(said.others[method]).max() > 0


@case("dtype", "bfloat16")
def shows_dtype(lab, task):
    label = {FLAG[task]: NAMES[task][0]} if task in FLAG else {"caption": "a dog"}
    exact, rounded = lab.both(task, **label), lab.both(task, 0.02, **label, dtype="bfloat16")
    assert rounded.record["dtype"] == "bfloat16"
    assert rounded.cams.dtype == np.float32
    assert relative_error(rounded.cams, exact.cams) > 0
    assert_close(rounded.scores, exact.scores, 0.05)
    assert exact.record["dtype"] == "float32"
    assert exact.record["device"] == "cpu"
    assert lab.many(task, **label).record["devices"] == ["cpu"]
    lab.refuses(task, r"tensorfloat32, an NVIDIA GPU .* got cpu instead\. Nearest: float32", dtype="tensorfloat32")
    lab.refuses(task, "Expected --dtype float32, tensorfloat32 or bfloat16, got 'float16'", dtype="float16")


def drawn(lab, task, **options):
    """Returns the descriptions and views that pictures are drawn of, alone and among many."""
    taken = []

    def take(folder, *arguments, **_):
        taken.append(arguments[-2:])
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_photo, "save_photo_pictures", take)
        patch.setattr(drawing, "save_run_pictures", take)
        one_photo.explain_one(lab.options(task, ONE, methods="grad_cam", **options))
        many_photos.explain_many(lab.options(task, MANY, images=str(lab.photo), save="all", **options))
    assert len(taken) == 2
    return taken
