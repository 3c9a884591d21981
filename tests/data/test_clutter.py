"""clutter: the same bytes everywhere, and its digits, rotations and noise as they are said."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from nni_wiring.data import clutter, load_data
from nni_wiring.data.clutter import generate
from nni_wiring.errors import DataError

Integers = np.ndarray


def test_it_is_the_data_that_its_checksum_names() -> None:
    data = load_data("clutter")
    assert data.images.shape == (8000, 3, 16, 16) and data.num_classes == 10
    assert data.test_images is not None and data.test_images.shape == (4000, 3, 16, 16)
    assert data.labels.bincount().min() > 700  # all classes about equally often
    assert not data.flip and data.default_split == "half"


def test_other_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clutter, "SEED", clutter.SEED + 1)
    generate.cache_clear()
    with pytest.raises(DataError, match="clutter: .* checksum .* expected 297272387028"):
        generate()
    generate.cache_clear()


def test_an_upright_digit_lies_where_it_was_put() -> None:
    """Without rotation the cover is the original at its place, pixel by pixel."""
    digits = load_digits().images[:3].astype(np.int64)
    table = iter([np.zeros(3, np.int64), np.array([[2, 0, 8], [5, 8, 0]])])

    class Drawn:
        def randint(self, *bounds: int, **sizes: int) -> Integers:
            return next(table)

    cover = clutter._placed(digits, Drawn())  # type: ignore[arg-type]
    for digit, found, left, top in zip(digits, cover, (2, 0, 8), (5, 8, 0), strict=True):
        expected = np.zeros((16, 16), np.int64)
        expected[top : top + 8, left : left + 8] = digit
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("degrees", [-20, -7, 20])
def test_rotation_keeps_the_ink_and_turns_its_axis(degrees: int) -> None:
    bar = np.zeros((1, 8, 8), np.int64)
    bar[0, :, 3:5] = 16
    table = iter([np.array([degrees]), np.array([[4], [4]])])

    class Drawn:
        def randint(self, *bounds: int, **sizes: int) -> Integers:
            return next(table)

    cover = clutter._placed(bar, Drawn())[0].astype(float)  # type: ignore[arg-type]
    assert cover.sum() == pytest.approx(bar.sum(), rel=0.03)
    y, x = np.mgrid[:16, :16] - 7.5
    xx, yy, xy = ((cover * term).sum() for term in (x * x, y * y, x * y))
    tilt = np.degrees(0.5 * np.arctan2(2 * xy, yy - xx))
    assert abs(tilt) == pytest.approx(abs(degrees), abs=1.5)


def test_noise_has_the_size_that_is_said() -> None:
    noise = clutter._noise(200, np.random.RandomState(3))
    assert noise.std() == pytest.approx(0.08 * 255, rel=0.01)
    assert abs(noise.mean()) < 0.6
    kurtosis = ((noise - noise.mean()) ** 4).mean() / noise.var() ** 2
    assert kurtosis == pytest.approx(3, abs=0.15)  # as a normal one's, for a sum of 12: 2.9
