"""Maps of every token against torch: the same models written in it, with the same weights, in float64."""

import jax
import numpy as np
import pytest

from tests.comparison import assert_close
from tests.engine.test_tokens import SPANS, case, explain
from tests.models.vision_language import CrossAttending, Prefixed

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("build", [CrossAttending, Prefixed])
def test_maps_of_tokens_words_and_the_whole_text_equal_torchs(build):
    twins = pytest.importorskip("tests.models.torch_vision_language", reason="needs torch: extra `oracle`")
    masks = np.array([[start <= place < stop for place in range(5)] for start, stop in SPANS], np.float64)
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        model, images, texts = case(build, np.float64)
        explanation = explain(model, images, texts)
        scores, maps = twins.maps_of(model, build.__name__, images, texts, masks)
        assert_close(explanation.scores, scores, 1e-6)
        assert_close(explanation.cam.reshape(maps.shape), maps, 1e-6)
