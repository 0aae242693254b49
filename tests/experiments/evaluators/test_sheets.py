"""Pictures of evaluations: which cases they show."""

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.experiments.data.photos import Box
from gradcam_jax.experiments.evaluators import sheets
from gradcam_jax.experiments.evaluators.sheets import BoxedMap, save_ranked_maps

LEFT = Box(0, 0, 0.5, 1)


def boxed(share):
    cam = np.zeros((4, 4), np.float32)
    cam[0, 0], cam[0, 3], cam[1, 1] = share, 1 - share, -5
    return BoxedMap(
        f"at {share:.2f}", f"photo {share}", lambda: np.full((32, 32, 3), share, np.float32), cam, [LEFT]
    )


@pytest.mark.parametrize(
    ("count", "rows", "ranks"), [(30, 3, [1, 2, 3, 4, 14, 15, 16, 17, 27, 28, 29, 30]), (5, 1, [1, 2, 3, 4, 5])]
)
def test_maps_are_chosen_by_rank(tmp_path, monkeypatch, count, rows, ranks):
    shown = []
    original = sheets.panel
    monkeypatch.setattr(
        sheets, "panel", lambda strips, **options: (shown.extend(strips), original(strips, **options))[1]
    )
    shares = np.random.default_rng(0).permutation(np.linspace(0, 1, count))
    path = tmp_path / "maps.jpg"
    maps = [boxed(share) for share in shares.tolist()]
    again = [one._replace(cam=-one.cam) for one in maps[:3]]  # of another caption of the same photo
    found = save_ranked_maps([*maps, *again], path)
    assert len(shown) == rows
    if rows == 3:
        assert [strip.title for strip in shown] == ["best", "middle", "worst"]
    ordered = np.sort(shares)[::-1]
    captions = [caption for strip in shown for caption, _ in strip.tiles]
    assert [caption.split(":")[0] for caption in captions] == [
        f"{rank}. at {ordered[rank - 1]:.2f}" for rank in ranks
    ]
    assert captions[0].endswith(": 1.00")
    assert captions[-1].endswith(": 0.00")
    assert [row["rank"] for row in found] == ranks
    assert [row["photo"] for row in found] == [f"photo {ordered[rank - 1]}" for rank in ranks]
    np.testing.assert_allclose([row["share"] for row in found], [ordered[rank - 1] for rank in ranks], atol=1e-6)
    with PIL.Image.open(path) as picture:
        assert picture.width > 200


def test_no_maps_are_no_picture(tmp_path):
    assert save_ranked_maps([], tmp_path / "maps.jpg") == []
    assert not list(tmp_path.iterdir())
