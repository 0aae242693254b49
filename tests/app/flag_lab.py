"""What the cases of the flags are made of: one photo, and the same photo among many, explained and compared."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from absl.testing import flagsaver

from gradcam_jax.app import main
from gradcam_jax.app.many_photos import explain_many
from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options
from gradcam_jax.pipeline import open_run
from gradcam_jax.tasks.indices import guided_parts
from gradcam_jax.tasks.methods import TITLES
from gradcam_jax.text.ilsvrc import imagenet_classes
from tests.app.small_models import ANSWERS, CAPTION_WORDS, TASKS, write_photo
from tests.comparison import assert_close

PHOTO = "photo.png"
ONE, MANY = "one", "many"


class Said(NamedTuple):
    """What was said of the photo, in the same form from one photo's files and from a run's.

    Attributes:
        names: What was explained.
        scores: Of each.
        cams: Of each.
        others: Other arrays: guided gradients, a question's words, a caption's words.
        record: What the run was, from explanation.json or run.json.
        files: Names of the files, below the output folder.
        folder: The output folder.
    """

    names: list
    scores: np.ndarray
    cams: np.ndarray
    others: dict
    record: dict
    files: set
    folder: Path


class Case(NamedTuple):
    """How one flag is shown.

    Attributes:
        shows: ``shows(lab, task)``, run for each of the tasks.
        tasks: The tasks that it is for; for others it is refused.
        photos: One photo, many, or both; elsewhere it is refused.
        value: A value that is not its default.
    """

    shows: Callable
    tasks: tuple
    photos: tuple
    value: object


CASES: dict[str, Case] = {}


def case(flag, value, tasks=TASKS, photos=(ONE, MANY)):
    """Registers a function as the case of a flag."""

    def register(shows):
        assert flag not in CASES
        CASES[flag] = Case(shows, tuple(tasks), tuple(photos), value)
        return shows

    return register


class Lab:
    """Explains the photo with the small models; nothing is explained twice in the same way."""

    def __init__(self, folder: Path):
        """Writes the photo, and the photo among others."""
        self.folder = folder
        self.photo = write_photo(folder / PHOTO)
        self.photos = folder / "photos"
        self.photos.mkdir()
        write_photo(self.photos / PHOTO)
        write_photo(self.photos / "other.png", size=(33, 70), seed=1)
        self._known = {}
        self._folders = 0

    def new_folder(self) -> Path:
        """Returns the name of a folder that is not there."""
        self._folders += 1
        return self.folder / f"out{self._folders}"

    def options(self, task, photos, /, **options) -> Options:
        """Returns the options that explain the photo, alone or among many."""
        source = {"input_image_path": str(self.photo)} if photos == ONE else {"images": str(self.photos)}
        # In batches of one both are the same computation, so that they agree to the last digits.
        run = {"batch_size": 1, "workers": 1} if photos == MANY else {}
        settings = {"task": task, "model": f"small_{task}", "out_path": str(self.new_folder()), **source, **run}
        return Options(**settings | options)

    def one(self, task, **options) -> Said:
        """Explains the photo alone."""
        return self._once(ONE, self._one, task, {"methods": "grad_cam"} | options)

    def many(self, task, **options) -> Said:
        """Explains the photo among others."""
        return self._once(MANY, self._many, task, options)

    def both(self, task, tolerance=1e-6, **options) -> Said:
        """Explains the photo alone and among others, asserts that the same is said, and returns it."""
        one = self.one(task, **options)
        assert_same(one, self.many(task, **options), tolerance)
        return one

    def line(self, task, request, **options) -> Said:
        """Explains the photo as a line of a list that brings its own request, and asserts that this is the flag's.

        The other options are the flags'; what the line names counts in place of theirs.
        """
        path = self.new_folder().with_suffix(".jsonl")
        path.write_text(json.dumps({"path": PHOTO, **request}) + "\n", encoding="utf-8")
        one = self.one(
            task, **{name: value for name, value in (options | request).items() if name != "max_targets"}
        )
        many = self._many(self.options(task, MANY, images=str(path), **options), request.get("question"))
        assert_same(one, many, 1e-6)
        return one

    def refuses(self, task, message, /, photos=(ONE, MANY), **options) -> None:
        """Asserts that options are refused, for one photo and for many alike, before anything is written."""
        for number in photos:
            asked = self.options(task, number, **options)
            with pytest.raises(ValueError, match=message):
                (explain_one if number == ONE else explain_many)(asked)
            assert not Path(asked.out_path).exists()

    def command(self, *arguments, patch=None) -> tuple[str, Options]:
        """Returns what the command with these arguments would do, and with which options."""
        done = []
        with pytest.MonkeyPatch.context() as own:
            own.setattr(main, "explain_one", lambda options, _: done.append((ONE, options)))
            own.setattr(main, "explain_many", lambda options, _: done.append((MANY, options)) or 0)
            own.setattr(main, "explain_on_cluster", lambda options, _: done.append(("machines", options)) or 0)
            own.setattr(main, "list_layers", lambda options, _: done.append(("layers", options)))
            own.setattr(main, "list_answers", lambda options, _: done.append(("answers", options)))
            for name, value in (patch or {}).items():
                own.setattr(main, name, value)
            with flagsaver.flagsaver():
                rest = main._FLAGS(["explain.py", "--nocompilation_cache", *arguments])
                try:
                    main.main(rest)
                except SystemExit as end:
                    if end.code:
                        raise
        return done[0]

    def _once(self, photos, explain, task, options) -> Said:
        key = photos, task, tuple(sorted(options.items()))
        if key not in self._known:
            self._known[key] = explain(self.options(task, photos, **options))
        return self._known[key]

    def _one(self, options) -> Said:
        files = explain_one(options)
        folder = Path(options.out_path)
        record = json.loads((folder / "explanation.json").read_text(encoding="utf-8"))
        with np.load(folder / "explanation.npz") as arrays:
            arrays = dict(arrays)
        cams, others = arrays.pop("cam"), _kept(arrays)
        if options.task == "captioning":
            names, scores = [record["caption"]], [record["score"]]
            others["word_scores"] = np.array([word["score"] for word in record["words"]])
            others["written"] = np.array([one["log_prob"] for one in record["generated"]])
        else:
            names = [target.get("name") or target["answer"] for target in record["targets"]]
            scores = [target["score"] for target in record["targets"]]
            others["top"] = np.array([one["probability"] for one in record["predictions"]])
        return Said(names, np.array(scores), cams, others, record, {file.name for file in files}, folder)

    def _many(self, options, question=None) -> Said:
        assert explain_many(options) == 0
        run, folder = open_run(options.out_path), Path(options.out_path)
        identifier = next(name for name in run if name.startswith(PHOTO))
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
        arrays, settings = dict(run[identifier].arrays), run.settings
        if options.task == "captioning":
            count = int(arrays["length"])
            names, places = [" ".join(CAPTION_WORDS[token] for token in arrays["tokens"][:count])], [0]
            assert not arrays["word_cams"][count:].any()
            written = arrays["written_log_probs"][arrays["written_lengths"] > 0]
            written = written[np.isfinite(written)]
            words = ("word_cams", "word_scores", *(f"word_{name}" for name in TITLES if name in arrays))
            others = {name: arrays[name][:count] for name in words} | {"written": written}
        else:
            targets = arrays["targets"]
            places = np.flatnonzero(targets >= 0)
            assert not arrays["cam"][targets < 0].any()
            labels = ANSWERS if options.task == "vqa" else [class_.name for class_ in imagenet_classes()]
            if options.labels:
                labels = Path(options.labels).read_text(encoding="utf-8").splitlines()
            names, others = [labels[target] for target in targets[places]], {"top": arrays["top_probabilities"]}
            if options.task == "vqa":
                words = len((question or settings["question"]).replace("?", " ?").split())
                assert not arrays["word_importances"][:, words:].any()
                others["word_importances"] = arrays["word_importances"][places, :words]
        others |= {name: arrays[name][places] for name in TITLES if name in arrays}
        guided = [guided_parts(arrays, place) for place in places]
        others |= {name: np.stack([parts[name] for parts in guided]) for name in guided[0]}
        return Said(names, arrays["scores"][places], arrays["cam"][places], others, settings, files, folder)


def assert_same(one: Said, many: Said, tolerance: float) -> None:
    """Asserts that the same is said of one photo as of the photo among many."""
    if one.record["recipe"] == "caffe_alexnet":
        # Its images travel to the devices as 16-bit fixed point; these small models' terms nearly cancel.
        tolerance = max(tolerance, 2e-3)
    assert one.names == many.names
    assert_close(one.scores, many.scores, tolerance)
    assert_close(one.cams, many.cams, tolerance)
    assert one.others.keys() == many.others.keys()
    for name, array in one.others.items():
        rounding = 2**-11 if name.startswith("guided") else 1e-5  # runs keep guided gradients as float16
        assert_close(array, many.others[name], max(tolerance, rounding))
    for name in ("task", "model", "layer", "dtype", "recipe", "input_size"):
        assert one.record[name] == many.record[name]
    assert one.record["method"] == many.record["map"]


def option_names() -> list[str]:
    """Returns the names of all options."""
    return [field.name for field in dataclasses.fields(Options)]


def flag_names() -> set[str]:
    """Returns the names of all flags of the command."""
    return {flag.name for flag in main._FLAGS.flags_by_module_dict()[main.__name__]}


def _kept(arrays):
    return {name: array for name, array in arrays.items() if name not in ("heatmap", "phrase_cams")}
