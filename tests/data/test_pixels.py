"""Pictures that people hold in Python: taken for what they show, or one clear line."""

import numpy as np
import pytest
from PIL import Image

from alutils.base.errors import BadInput
from alutils.data.decoding import BadPicture
from alutils.data.pixels import checked_images
from alutils.models.embeddings import features

RNG = np.random.default_rng(0)
PHOTOGRAPH = Image.fromarray(RNG.integers(0, 256, (6, 5, 3), np.uint8))
GREY = Image.fromarray(RNG.integers(0, 256, (6, 5), np.uint8))


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        (PHOTOGRAPH.quantize(9), lambda i: i.convert("RGB")),
        (GREY.convert("P"), lambda i: i.convert("L")),
        (GREY.convert("1"), lambda i: i.convert("L")),
        (PHOTOGRAPH.convert("CMYK"), lambda i: i.convert("RGB")),
        (PHOTOGRAPH.convert("RGBA"), lambda i: i.convert("RGB")),
        (GREY.convert("LA"), lambda i: i.convert("L")),
        (GREY, lambda i: i),
    ],
)
def test_pillows_images_are_what_they_show(image, shown):
    (pixels,) = checked_images([image], None)
    assert np.array_equal(pixels, np.asarray(shown(image)))


def test_palettes_give_the_features_of_their_colours():
    palette = [GREY.convert("P"), GREY.transpose(Image.Transpose.ROTATE_180).convert("P")]
    palette[0].putpalette([255 - i // 3 for i in range(768)])
    shown = [np.asarray(image.convert("L")) for image in palette]
    found, expected = (
        features(each, backbone="pixels@6", cache=False, progress=False)
        for each in (palette, shown)
    )
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (np.ma.array(np.ones((2, 6, 5)) * 9, mask=[[[1] * 5] * 6, [[0] * 5] * 6]), "30 masked"),
        ([np.ma.masked_greater(np.arange(30).reshape(6, 5), 27)], "2 masked pixels"),
        (PHOTOGRAPH, "one picture: expected several; put it into a list"),
    ],
)
def test_what_is_not_known_is_one_clear_line(images, says):
    with pytest.raises(BadInput, match=says):
        checked_images(images, None)


def test_an_image_of_unknown_levels_is_refused():
    with pytest.raises(BadPicture, match="32 bits a pixel"):
        checked_images([GREY.convert("I")], None)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("levels", [2, 1.5])
def test_pixels_of_0_and_1_give_no_features(kind, levels):
    images = (RNG.random((4, 6, 6)) * levels).astype(kind).clip(0, 1)
    if images.max() == 0:
        images[0, 0, 0] = 1
    for each in (images, list(images)):
        with pytest.raises(BadInput, match=r"brightest pixel of all images is .*multiply them"):
            features(each, backbone="pixels@6", cache=False, progress=False)
