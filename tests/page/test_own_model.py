"""A model of one's own on the page: offered first, explained as the program explains it."""

import io

import jax
import numpy as np
import PIL.Image

from gradcam_jax.app.options import Options, load_model
from gradcam_jax.page import Limits
from gradcam_jax.tasks import classification, explain_photo
from tests.comparison import assert_close
from tests.page.served import Visitor, add_small_defaults, photo_bytes, served

LIMITS = Limits(photo_bytes=50_000, photo_pixels=20_000)


def network():
    """A model as a user's function returns it, with its weights."""
    import flax.linen as nn

    class Own(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Conv(6, (3, 3), strides=2)(x))
            return nn.Dense(3)(x.reshape((x.shape[0], -1)))

    model = Own()
    return model, model.init(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))


def test_it_is_offered_first_and_explained_like_one_photo(tmp_path, monkeypatch):
    add_small_defaults(tmp_path, monkeypatch)
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\nbird\n", encoding="utf-8")
    loaded = load_model(Options(model=f"{__name__}:network", labels=str(names), input_sz=32))
    with served(LIMITS, [loaded]) as server:
        visitor = Visitor(server)
        offered = visitor.ask("/api/offers").json["tasks"]
        first = offered["classification"][0]
        assert (first["name"], first["size"]) == (loaded.name, 32)
        assert offered["vqa"][0]["name"] == "small_vqa"
        photo = visitor.begin()
        said = visitor.explain(photo, task="classification", model=loaded.name, label="bird")
        pixels = np.asarray(PIL.Image.open(io.BytesIO(photo_bytes())))
        one = explain_photo(classification(loaded), pixels, label="bird", methods=("grad_cam",))
        row = one.description.rows[0]
        assert said["rows"][0]["name"] == row.name == "bird"
        maps = visitor.ask(f"/api/photos/{photo}/{said['name']}/numbers").json["maps"]
        assert_close(np.array(maps[0]), row.cam, 1e-6)
