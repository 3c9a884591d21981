from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nni_wiring.data import ImageData, load_data
from nni_wiring.errors import DataError

Arrays = dict[str, np.ndarray]


def _load(path: Path) -> ImageData:
    return load_data(f"npz:{path}")


def _arrays() -> Arrays:
    rng = np.random.default_rng(1)
    return {
        "train_x": rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8),
        "train_y": np.arange(12, dtype=np.uint8) % 4,
        "test_x": rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8),
        "test_y": np.arange(5, dtype=np.int64),
    }


def _smooth(seed: int, height: int = 16, width: int = 24) -> np.ndarray:
    """An image that survives JPEG compression: low frequencies only."""
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(rows / 5 + p) + np.cos(columns / 6 + p) for p in phase]
    return np.rint(np.stack(waves, axis=-1) * 60 + 128).astype(np.uint8)


def _jpeg(image: np.ndarray, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    options = {"quality": 97, "subsampling": 0} if kind == "JPEG" else {}
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def _packed(files: list[bytes], n_train: int) -> Arrays:
    return {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0] + [len(file) for file in files]),
        "labels": (np.arange(len(files)) % 3).astype(np.uint8),
        "n_train": np.array(n_train),
    }


def test_arrays_are_taken_as_they_are(tmp_path: Path) -> None:
    arrays = _arrays()
    np.savez_compressed(tmp_path / "own.npz", **arrays)
    data = _load(tmp_path / "own.npz")
    assert data.test_images is not None and data.test_labels is not None
    assert (data.images.permute(0, 2, 3, 1).numpy() == arrays["train_x"]).all()
    assert (data.test_images.permute(0, 2, 3, 1).numpy() == arrays["test_x"]).all()
    assert data.labels.tolist() == arrays["train_y"].tolist()
    assert data.test_labels.tolist() == [0, 1, 2, 3, 4]
    assert data.num_classes == 5  # class 4 is in the test part only
    pixels = arrays["train_x"].reshape(-1, 3) / 255
    assert np.allclose(data.mean, pixels.mean(0), rtol=1e-12)
    assert np.allclose(data.std, pixels.std(0), rtol=1e-12)


def test_the_test_part_is_optional(tmp_path: Path) -> None:
    arrays = _arrays()
    np.savez(tmp_path / "own.npz", train_x=arrays["train_x"], train_y=arrays["train_y"])
    data = _load(tmp_path / "own.npz")
    assert data.test_images is None and data.test_labels is None


def test_a_path_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "own.npz", **_arrays())
    monkeypatch.chdir(tmp_path)
    assert len(load_data("npz:own.npz").images) == 12


@pytest.mark.parametrize(
    ("classes", "truth"), [(10, "cifar10"), (7, "cifar10"), (100, "cifar100"), (120, "imagenet16")]
)
def test_truth_by_number_of_classes(classes: int, truth: str, tmp_path: Path) -> None:
    arrays = _arrays() | {"test_y": np.array([0, 1, 2, 3, classes - 1])}
    np.savez(tmp_path / "own.npz", **arrays)
    assert _load(tmp_path / "own.npz").truth_dataset == truth


def test_flip_can_be_forbidden(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **_arrays(), flip=False)
    assert not _load(tmp_path / "own.npz").flip
    np.savez(tmp_path / "free.npz", **_arrays())
    assert _load(tmp_path / "free.npz").flip


def test_constant_images_can_be_normalised(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **_arrays() | {"train_x": np.full((12, 16, 16, 3), 7, np.uint8)})
    data = _load(tmp_path / "own.npz")
    assert np.allclose(data.mean, 7 / 255) and min(data.std) > 0


def test_jpeg_images(tmp_path: Path) -> None:
    images = [_smooth(seed) for seed in range(1100)]  # more than one task of the thread pool
    np.savez(tmp_path / "jpeg.npz", **_packed([_jpeg(image) for image in images], 1000))
    data = _load(tmp_path / "jpeg.npz")
    assert data.test_images is not None and data.test_labels is not None
    assert (len(data.images), len(data.test_images)) == (1000, 100)
    decoded = np.concatenate([data.images.numpy(), data.test_images.numpy()])
    error = np.abs(decoded.transpose(0, 2, 3, 1).astype(int) - np.stack(images))
    assert error.mean(axis=(1, 2, 3)).max() < 2  # another order would be tens of levels off
    assert data.test_labels.tolist() == [index % 3 for index in range(1000, 1100)]
    assert "JPEG" in data.note


def test_grey_jpeg_becomes_three_channels(tmp_path: Path) -> None:
    grey = _smooth(0)[..., 0]
    np.savez(tmp_path / "jpeg.npz", **_packed([_jpeg(grey)] * 2, 2))
    data = _load(tmp_path / "jpeg.npz")
    assert data.test_images is None
    assert data.images.shape == (2, 3, 16, 24)
    assert (data.images[:, 0] == data.images[:, 2]).all()


def _changed(**changes: np.ndarray | None) -> Arrays:
    arrays = {**_arrays(), **changes}
    return {key: value for key, value in arrays.items() if value is not None}


X = _arrays()["train_x"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (_changed(train_x=X / 255), "training images are float64"),
        (_changed(train_x=X.transpose(0, 3, 1, 2)), r"expected uint8 \(n, height, width, 3\)"),
        (_changed(train_x=X[..., 0]), r"\(12, 16, 16\); expected uint8"),
        (_changed(train_x=X[:, :4]), "at least 8x8 pixels"),
        (_changed(train_x=X[:0], train_y=X[:0, 0, 0, 0]), "at least one image"),
        (_changed(test_x=X[:5, :8]), r"test images have shape \(8, 16, 3\)"),
        (_changed(train_y=np.zeros(12)), "labels are float64; expected integers"),
        (_changed(train_y=np.zeros(11, int)), r"labels are int64 \(11,\); expected .*\(12,\)"),
        (_changed(train_y=np.full(12, -1)), r"labels lie in -1 \.\. -1; expected 0"),
        (_changed(test_y=np.full(5, 10**9)), r"label 1000000000; expected 0 \.\. 9999"),
        (_changed(test_y=None), "test_y is missing"),
        (_changed(train_x=None), r"holds test_x, test_y, train_y; expected train_x, train_y"),
        ({"other": X}, "no known array"),
        (_changed(flip=np.array([1, 0])), r"flip is int64 \(2,\); expected 0 \.\. 1"),
        (_changed(train_x=np.array([None])), "not a readable .npz file .*allow_pickle"),
    ],
)
def test_wrong_arrays(arrays: Arrays, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        _load(tmp_path / "own.npz")
    assert "\n" not in str(caught.value)


JPEGS = [_jpeg(_smooth(seed)) for seed in range(4)]


def _claims(image: bytes, height: int, width: int) -> bytes:
    """The same file with another size in its header (frame marker FFC0)."""
    at = image.index(b"\xff\xc0") + 5
    return image[:at] + struct.pack(">HH", height, width) + image[at + 4 :]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (_packed([JPEGS[0], JPEGS[1][:-99]], 1), "image 1 cannot be decoded .*truncated"),
        (_packed([JPEGS[0], b"no image"], 1), "image 1 is no readable JPEG"),
        (_packed([JPEGS[0], _jpeg(_smooth(1), "PNG")], 1), "image 1 is no readable JPEG"),
        (_packed([JPEGS[0], _jpeg(_smooth(1, 16, 16))], 1), "image 1 has 16x16 pixels, .* 16x24"),
        (
            _packed([_claims(JPEGS[0], 9000, 9000)] * 10, 1),
            "10 images of 9000x9000 .* 2430000000 b",
        ),
        (_packed([_claims(JPEGS[0], 60000, 60000)], 1), "image 0 is no readable JPEG"),
        (_packed([JPEGS[0], _claims(JPEGS[1], 60000, 60000)], 1), "image 1 "),
        (_packed(JPEGS, 5), r"n_train is int64 \(\); expected 1 \.\. 4"),
        (_packed(JPEGS, 0), r"expected 1 \.\. 4"),
        ({**_packed(JPEGS, 2), "labels": np.zeros(3, int)}, r"shape \(3,\); expected \(4,\)"),
        ({**_packed(JPEGS, 2), "offsets": np.array([0, 9, 5, 99])}, "offsets run from 0 to 99"),
        ({**_packed(JPEGS, 2), "offsets": np.array([0])}, r"expected integers \(n \+ 1,\)"),
        ({**_packed(JPEGS, 2), "offsets": np.zeros((2, 2))}, "expected integers"),
        ({**_packed(JPEGS, 2), "jpeg": np.zeros((4, 4), np.uint8)}, r"expected uint8 \(bytes,\)"),
    ],
)
def test_wrong_jpeg_arrays(arrays: Arrays, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "jpeg.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        _load(tmp_path / "jpeg.npz")
    assert "\n" not in str(caught.value)


def _saved(path: Path) -> bytes:
    np.savez_compressed(path, **_arrays())
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: b"no archive",
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:200] + bytes(50) + raw[250:],
        lambda raw: raw[-3000:],
    ],
    ids=["empty", "text", "truncated", "overwritten", "headless"],
)
def test_damaged_file(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    path.write_bytes(damage(_saved(path)))
    with pytest.raises(DataError, match=r"not a readable \.npz file") as caught:
        _load(path)
    assert "\n" not in str(caught.value)


def test_any_damaged_byte_is_a_data_error_or_harmless(tmp_path: Path) -> None:
    path, rng = tmp_path / "own.npz", np.random.default_rng(0)
    original = np.frombuffer(_saved(path), np.uint8)
    for _ in range(150):
        raw = original.copy()
        raw[rng.integers(0, len(raw), 3)] = rng.integers(0, 256, 3, dtype=np.uint8)
        path.write_bytes(raw.tobytes())
        try:
            _load(path)
        except DataError as error:
            assert "\n" not in str(error)


def test_the_limit_holds_for_arrays_under_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member without ``.npy`` was read, too, and not counted."""
    np.savez_compressed(tmp_path / "own.npz", **_arrays())
    with (
        zipfile.ZipFile(tmp_path / "own.npz") as named,
        zipfile.ZipFile(tmp_path / "bare.npz", "w") as bare,
    ):
        for member in named.namelist():
            bare.writestr(member.removesuffix(".npy"), named.read(member))
    monkeypatch.setattr("nni_wiring.data.npz.MAX_BYTES", 1000)
    for file in ("own.npz", "bare.npz"):
        with pytest.raises(DataError, match="at most 1000 are read"):
            _load(tmp_path / file)


def test_a_header_that_claims_more_than_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    header = io.BytesIO()
    shape = (10**7, 10**4, 10**4, 3)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_x.npy", header.getvalue() + bytes(100))
        archive.writestr("train_y.npy", header.getvalue() + bytes(100))
    with pytest.raises(DataError, match=r"not a readable \.npz file"):
        _load(path)


def test_an_archive_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.npz"
    np.savez_compressed(path, train_x=np.zeros((3000, 32, 32, 3), np.uint8), train_y=np.zeros(3000))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr("nni_wiring.data.npz.MAX_BYTES", 5_000_000)
    with pytest.raises(DataError, match="at most 5000000 are read"):
        _load(path)


def test_a_name_that_the_archive_claims_is_not_told_at_length(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **_arrays())
    content = path.read_bytes()
    path.write_bytes(content[:26] + (4000).to_bytes(2, "little") + content[28:])
    with pytest.raises(DataError, match="File name in directory") as error:
        _load(path)
    assert len(str(error.value)) < 600


def test_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file") as caught:
        _load(tmp_path / "none.npz")
    assert str(tmp_path / "none.npz") in str(caught.value)


def test_real_images(shared_data: Path) -> None:
    path = shared_data / "cifar10_lossless_5k.npz"
    data = _load(path)
    assert data.test_images is not None
    assert (len(data.images), len(data.test_images)) == (4000, 1000)
    assert (data.num_classes, data.image_shape) == (10, (3, 32, 32))
    with np.load(path) as raw:
        assert (data.images[17].permute(1, 2, 0).numpy() == raw["train_x"][17]).all()
    # within sampling error of the whole training set's published statistics
    assert np.allclose(data.mean, np.array([125.3, 123.0, 113.9]) / 255, atol=0.01)
    assert np.allclose(data.std, np.array([63.0, 62.1, 66.7]) / 255, atol=0.01)


def test_real_jpeg_copy_against_the_exact_pixels(shared_data: Path, tmp_path: Path) -> None:
    count = 600
    with np.load(shared_data / "cifar10_jpeg_60k.npz") as raw:
        offsets, labels = raw["offsets"][: count + 1], raw["labels"][:count]
        jpeg = raw["jpeg"][: offsets[-1]]
    np.savez(tmp_path / "part.npz", jpeg=jpeg, offsets=offsets, labels=labels, n_train=count)
    copy = _load(tmp_path / "part.npz")
    exact = _load(shared_data / "cifar10_lossless_5k.npz")
    assert (copy.labels == exact.labels[:count]).all()
    error = (copy.images.int() - exact.images[:count].int()).abs().float()
    assert 0 < error.median() < 8
    assert (copy.images.int() - exact.images[1 : count + 1].int()).abs().float().median() > 30


def test_resized_images_are_those_of_a_file_that_was_averaged_before(tmp_path: Path) -> None:
    """As make16.py did: numpy's mean over 2 x 2 blocks, and its rounding."""
    arrays = _arrays()
    small = dict(arrays)
    for part in ("train_x", "test_x"):
        blocks = arrays[part].reshape(len(arrays[part]), 8, 2, 8, 2, 3)
        small[part] = blocks.mean((2, 4)).round().astype(np.uint8)
    np.savez(tmp_path / "whole.npz", **arrays)
    np.savez(tmp_path / "small.npz", **small)
    found = load_data(f"npz:{tmp_path / 'whole.npz'}", resize=8)
    expected = _load(tmp_path / "small.npz")
    assert found.images.equal(expected.images) and found.labels.equal(expected.labels)
    assert found.test_images is not None and expected.test_images is not None
    assert found.test_images.equal(expected.test_images)
    assert (found.mean, found.std, found.padding) == (expected.mean, expected.std, expected.padding)
    assert found.name.endswith("whole.npz")
    same = load_data(f"npz:{tmp_path / 'whole.npz'}", resize=16)
    assert same.images.equal(_load(tmp_path / "whole.npz").images)


@pytest.mark.parametrize(
    ("shape", "side", "allowed"),
    [((16, 16), 12, "8, 16"), ((16, 16), 32, "8, 16"), ((16, 24), 8, "none, they are not square")],
)
def test_a_side_that_does_not_divide_the_images_is_one_line(
    tmp_path: Path, shape: tuple[int, int], side: int, allowed: str
) -> None:
    arrays = _arrays()
    images = np.zeros((12, *shape, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", train_x=images, train_y=arrays["train_y"])
    with pytest.raises(DataError) as caught:
        load_data(f"npz:{tmp_path / 'a.npz'}", resize=side)
    assert str(caught.value).startswith(f"resize={side}: npz:")
    assert str(caught.value).endswith(f"{shape[0]} x {shape[1]} pixels; allowed: {allowed}")
