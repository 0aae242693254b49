"""Features on disk: the right rows, gone on with after a break, kept apart by what they are of."""

import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.features import feature_file

IMAGES = np.random.default_rng(0).random((150, 2, 2, 3)).astype(np.float32)
EXPECTED = IMAGES.reshape(150, 12)


def _encode(images):
    return jnp.reshape(images, (images.shape[0], -1))


def _features(folder, image_at=IMAGES.__getitem__, description="a", **options):
    return feature_file(folder, {"of": description}, _encode, image_at, len(IMAGES), **{"batch_size": 4} | options)


@pytest.mark.parametrize("batch_size", [4, 7, 200])
def test_every_row_is_its_photos_whatever_the_batch(tmp_path, batch_size):
    done = []
    rows = _features(tmp_path, batch_size=batch_size, report=done.append)
    np.testing.assert_array_equal(rows, EXPECTED)
    assert done[-1] == 150
    assert isinstance(rows, np.memmap)
    assert not rows.flags.writeable


def test_a_second_run_reads_and_decodes_nothing(tmp_path):
    _features(tmp_path)
    np.testing.assert_array_equal(_features(tmp_path, image_at=lambda _: pytest.fail("decoded again")), EXPECTED)


def test_a_run_that_broke_off_goes_on_where_it_stopped(tmp_path):
    def broken(index):
        if index == 42:
            raise InputError("photo 42 is broken")
        return IMAGES[index]

    with pytest.raises(InputError, match="photo 42"):
        _features(tmp_path, image_at=broken)
    decoded = []

    def counted(index):
        decoded.append(index)
        return IMAGES[index]

    np.testing.assert_array_equal(_features(tmp_path, image_at=counted), EXPECTED)
    assert sorted(decoded) == list(range(36, 150))  # batches of 4 up to photo 35 were whole


def test_what_is_of_something_else_is_another_file(tmp_path):
    _features(tmp_path)
    np.testing.assert_array_equal(
        _features(tmp_path, image_at=(2 * IMAGES).__getitem__, description="b"), 2 * EXPECTED
    )
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_no_photos_are_an_error(tmp_path):
    with pytest.raises(InputError, match="at least one photo"):
        feature_file(tmp_path, {}, _encode, IMAGES.__getitem__, 0)
