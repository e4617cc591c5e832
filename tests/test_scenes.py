"""Scenes: pictures that belong to the words of captions."""

import numpy as np
import pytest

from iad.portraits.scenes import SCENES, paint


@pytest.mark.parametrize("name", SCENES)
def test_scenes_are_pictures_of_their_own(name):
    picture = paint(name, 5, 64)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, paint(name, 5, 64))
    assert (picture != paint(name, 6, 64)).any()
    assert picture.std() > 1


def test_unknown_scene_is_explained():
    with pytest.raises(ValueError, match="a beach"):
        paint("the moon", 0, 64)
