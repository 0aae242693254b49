import numpy as np
import pytest

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.recognise import READERS, recognise_format
from tests.formats.seed_files import BIAS, SEEDS, WEIGHT, seed_bytes

WITH_ARRAYS = [name for name in SEEDS if name != "pytorch zip containers"]


@pytest.mark.parametrize("name", SEEDS)
def test_recognises_by_content(tmp_path, name):
    (tmp_path / "weights.bin").write_bytes(seed_bytes(name, tmp_path))
    assert recognise_format(tmp_path / "weights.bin") == name.split()[0]


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_reads_any_format_in_one_call(tmp_path, name):
    path = tmp_path / "weights.bin"
    path.write_bytes(seed_bytes(name, tmp_path))
    arrays = list(READERS[recognise_format(path)](path).values())
    assert any(np.array_equal(array.reshape(-1), WEIGHT.reshape(-1)) for array in arrays)
    assert any(np.array_equal(array, BIAS) for array in arrays)


@pytest.mark.parametrize("name", [name for name in SEEDS if "zip" not in name and "npz" not in name])
def test_recognises_a_file_that_is_cut_off(tmp_path, name):
    whole = seed_bytes(name, tmp_path)
    if name == "safetensors":
        whole = whole[:-8] + bytes(
            8
        )  # Its header's length is compared with the file, so the header must be there.
    (tmp_path / "x").write_bytes(whole[:-5])
    format_name = recognise_format(tmp_path / "x")
    assert format_name == name.split()[0]
    with pytest.raises(CheckpointError):
        READERS[format_name](tmp_path / "x")


@pytest.mark.parametrize("content", [b"\n\n\n\n", b"{}", bytes(range(9, 99)), b"\x08\x01"])
def test_lists_the_formats_that_it_knows(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"caffemodel, torch7, pytorch, safetensors, npz, got"):
        recognise_format(tmp_path / "x")
