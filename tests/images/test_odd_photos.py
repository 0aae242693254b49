"""Photos whose pixels are whole and whose rest is not, and grey values of more bits than a picture shows."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.images import read_photo
from gradcam_jax.images.fast import decode_fast
from gradcam_jax.images.photos import decode_photo

ORIENTATION, XRESOLUTION = 0x0112, 0x011A
SHORT, ASCII = 3, 2
TURNED = (ORIENTATION, SHORT, 1, struct.pack("<H", 6))
TAGS = (0x0100, 0x010F, XRESOLUTION, 0x0128, 0x0132, 0x8769, 0x8825, 0x9286, 0x02BC, 0xC4A5)
VALUES = (b"", b"72\0", b"\xff" * 4, b"\0" * 4, b"\1\0\0\0", b"\xff" * 16)


def jpeg(size=(30, 20)):
    content = io.BytesIO()
    PIL.Image.fromarray(np.full((size[1], size[0], 3), 100, np.uint8)).save(content, "JPEG")
    return content.getvalue()


def exif(*entries):
    """An EXIF block of entries (tag, type, count, value), whatever they are."""
    start = 8 + 2 + 12 * len(entries) + 4
    table, data = b"", b""
    for tag, kind, count, value in entries:
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<L", start + len(data))
        data += value if len(value) > 4 else b""
        table += struct.pack("<HHL", tag, kind, count) + place
    head = b"II*\0" + struct.pack("<L", 8) + struct.pack("<H", len(entries))
    return b"Exif\0\0" + head + table + b"\0\0\0\0" + data


def with_exif(block, content=None):
    content = content or jpeg()
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + content[2:]


def decoded(content):
    return np.asarray(decode_photo(io.BytesIO(content), "photo"))


def test_a_mistyped_tag_leaves_the_photo_and_its_orientation(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(with_exif(exif(TURNED, (XRESOLUTION, ASCII, 3, b"72\0"))))
    assert read_photo(path).shape == (30, 20, 3)


def test_every_way_to_mistype_a_tag_leaves_the_photo():
    content = jpeg()
    for tag in TAGS:
        for kind in range(15):
            for count in (0, 1, 3, 70000):
                for value in VALUES:
                    mistyped = with_exif(exif(TURNED, (tag, kind, count, value)), content)
                    assert decoded(mistyped).shape == (30, 20, 3), (tag, kind, count, value)


@pytest.mark.parametrize("value", [(ASCII, 2, b"6\0"), (SHORT, 1, b"\x09\0"), (SHORT, 0, b""), (5, 1, b"\0" * 8)])
def test_an_orientation_that_is_none_turns_nothing(value):
    content = with_exif(exif((ORIENTATION, value[0], value[1], value[2])))
    assert decoded(content).shape == (20, 30, 3)
    pytest.importorskip("simplejpeg", reason="needs the extra `fast`")
    assert np.asarray(decode_fast(content, "photo")).shape == (20, 30, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_pillows(orientation):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    block = PIL.Image.Exif()
    block[ORIENTATION] = orientation
    content = io.BytesIO()
    PIL.Image.fromarray(pixels).save(content, "PNG", exif=block)
    with PIL.Image.open(io.BytesIO(content.getvalue())) as image:
        expected = np.asarray(PIL.ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(decoded(content.getvalue()), expected)


@pytest.mark.parametrize("kind", ["AVIF", "DDS", "TIFF", "GIF", "WEBP", "JPEG2000", "PNG", "PPM"])
def test_whatever_a_decoder_raises_is_an_input_error_of_that_photo(kind):
    PIL.Image.init()
    if kind not in PIL.Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    content = io.BytesIO()
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)).save(content, kind)
    whole, random = bytearray(content.getvalue()), np.random.default_rng(0)
    assert decoded(bytes(whole)).shape == (16, 16, 3)
    for _ in range(200):
        broken = whole[: random.integers(4, len(whole))] if random.random() < 0.3 else bytearray(whole)
        for place in random.integers(0, len(broken), 6):
            broken[place] = random.integers(0, 256)
        try:
            assert decoded(bytes(broken)).dtype == np.uint8
        except InputError as error:
            assert str(error).startswith("'photo' ")  # noqa: PT017 - either outcome is right


def test_a_decoder_that_raises_what_no_decoder_should(monkeypatch):
    def load(_):
        raise NotImplementedError("pixel format 42")

    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", load)
    with pytest.raises(InputError, match="'photo' cannot be decoded: pixel format 42"):
        decoded(jpeg())


def test_a_png_with_megabytes_of_text_is_read(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 5, 3), np.uint8)
    info = PIL.PngImagePlugin.PngInfo()
    info.add_text("history", "x" * 3_000_000, zip=True)
    path = tmp_path / "photo.png"
    PIL.Image.fromarray(pixels).save(path, pnginfo=info)
    with pytest.raises(ValueError, match="too large"):
        PIL.Image.open(path).load()  # Pillow alone refuses it
    np.testing.assert_array_equal(read_photo(path), pixels)
    PIL.Image.fromarray(pixels).save(path, icc_profile=zlib.compress(b"\0" * 10) + b"p" * 2_000_000)
    np.testing.assert_array_equal(read_photo(path), pixels)


def read(tmp_path, values, name):
    PIL.Image.fromarray(values).save(tmp_path / name)
    photo = read_photo(tmp_path / name)
    np.testing.assert_array_equal(photo[..., 0], photo[..., 2])
    return photo[..., 0].tolist()


@pytest.mark.parametrize(
    ("highest", "bits"), [(255, 8), (1000, 10), (4095, 12), (4000, 12), (16383, 14), (30000, 16), (65535, 16)]
)
def test_grey_of_several_bits_is_scaled_by_what_the_file_holds(tmp_path, highest, bits):
    values = np.array([[0, highest // 2, highest]], np.uint16)
    expected = np.floor(values / (2**bits - 1) * 255 + 0.5).astype(int).tolist()
    assert read(tmp_path, values, "photo.png") == expected
    assert read(tmp_path, values.astype(np.int32), "photo.tiff") == expected


def test_numbers_below_zero_floats_and_infinities_are_stretched(tmp_path):
    assert read(tmp_path, np.array([[-10, 0, 10]], np.int32), "photo.tiff") == [[0, 128, 255]]
    assert read(tmp_path, np.array([[0.25, 0.5, 0.75]], np.float32), "photo.tiff") == [[0, 128, 255]]
    odd = np.array([[1.5, np.inf, 2.5, -np.inf, np.nan, 3.5]], np.float32)
    assert read(tmp_path, odd, "photo.tiff") == [[0, 255, 128, 0, 0, 255]]
    with pytest.raises(InputError, match=r"photo.tiff' holds no finite value"):
        read(tmp_path, np.full((1, 2), np.nan, np.float32), "photo.tiff")
