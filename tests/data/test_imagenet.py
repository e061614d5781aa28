"""Photographs decoded on demand: the same whatever the threads, the batch and the form."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from frivolous.data import EncodedExamples, Splits, imagenet, with_random_labels
from frivolous.data.images.random_crop import central_box, central_crop, random_box
from frivolous.errors import BadArgument
from frivolous.inputs.batches import as_batches

making = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("making.py"))))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    making.image_tree(folder)
    return folder


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parquet")
    making.image_parquet(folder)
    return folder


def made(folder: Path, **options: object) -> Splits:
    return imagenet(folder=folder, **{"size": 16, "validation": 0.25, **options})  # type: ignore[arg-type]


def stored(splits: Splits, part: str = "train") -> EncodedExamples:
    return cast(EncodedExamples, getattr(splits, part))


@pytest.mark.parametrize("form", ["tree", "parquet"])
def test_every_image_is_in_one_split_with_its_label(
    form: str, request: pytest.FixtureRequest
) -> None:
    splits = made(request.getfixturevalue(form))
    train, validation, test = (stored(splits, part) for part in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test), splits.classes) == (18, 6, 9, 3)
    numbers = torch.cat([train.numbers, validation.numbers])
    assert sorted(numbers.tolist()) == list(range(24))
    order = torch.arange(24)
    expected = order // 8 if form == "tree" else order % 3
    for part in (train, validation):
        assert torch.equal(part.labels, expected[part.numbers])
    assert splits.facts["source"] == {"tree": "folders", "parquet": "parquet"}[form]
    assert splits.facts["names"] == (("n01", "n02", "n03") if form == "tree" else ())


def test_the_seed_chooses_who_validates(tree: Path) -> None:
    one, same, other = (stored(made(tree, seed=s), "validation").numbers for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("shape", [(64, 80), (100, 64), (91, 133), (320, 200)])
def test_the_middle_is_that_of_the_usual_two_steps(shape: tuple[int, int]) -> None:
    """Resize the shorter side to 256/224 of the size, then cut the centre."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    waves = np.stack([rows * 2, columns, 100 + 80 * np.sin((rows + columns) / 15)], 2)
    image = Image.fromarray(waves.clip(0, 255).astype(np.uint8))
    scale = 64 / min(shape)
    larger = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    left, top = (larger.width - 56) // 2, (larger.height - 56) // 2
    expected = np.asarray(larger.crop((left, top, left + 56, top + 56))).astype(int)
    difference = abs(central_crop(image, 56) - expected)
    assert difference.max() <= (0 if scale == 1 else 6)


def test_parquet_gives_the_pixels_of_its_rows(parquet: Path) -> None:
    test = stored(made(parquet, size=16), "test")
    pixels = making.pictures(9, 8, (40, 30))
    for i in (8, 0, 4):
        expected = Image.fromarray(pixels[i]).resize(
            (16, 16), Image.Resampling.BILINEAR, box=central_box(30, 40)
        )
        assert np.array_equal(test.take(torch.tensor([i]))[0].permute(1, 2, 0), expected)


def test_a_crop_depends_on_seed_epoch_and_image_alone(tree: Path) -> None:
    one = stored(made(tree, workers=1))
    many = stored(made(tree, workers=4))
    index = torch.tensor([5, 0, 11])
    drawn = one.take(index, augment=True, seed=3, epoch=2)
    assert torch.equal(drawn, many.take(index, augment=True, seed=3, epoch=2))
    alone = torch.cat(
        [many.take(index[i : i + 1], augment=True, seed=3, epoch=2) for i in range(3)]
    )
    assert torch.equal(drawn, alone)
    # Named by its number in the source, an image keeps its crops in another split.
    place = (many.numbers == one.numbers[11]).nonzero()[0]
    assert torch.equal(many.first(18).take(place, augment=True, seed=3, epoch=2)[0], drawn[2])
    for other in ({"seed": 4, "epoch": 2}, {"seed": 3, "epoch": 3}):
        assert not torch.equal(drawn, one.take(index, augment=True, **other))
    assert not torch.equal(drawn, one.take(index))


def test_batches_come_in_order_and_ahead(tree: Path) -> None:
    train = stored(made(tree))
    indices = torch.randperm(18, generator=torch.Generator().manual_seed(0)).split(4)
    batches = list(train.batches(indices, augment=True, seed=1, epoch=1))
    assert [len(images) for images, _ in batches] == [4, 4, 4, 4, 2]
    for index, (images, labels) in zip(indices, batches, strict=True):
        assert torch.equal(labels, train.labels[index])
        assert torch.equal(images, train.take(index, augment=True, seed=1, epoch=1))


def test_an_iterator_may_be_left_early(tree: Path) -> None:
    batches = stored(made(tree)).batches(torch.arange(18).split(1))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert list(batches) == []


def test_it_stands_where_examples_stand(tree: Path) -> None:
    splits = made(tree)
    train = splits.train
    assert train.inputs.shape == (18, 3, 16, 16)
    assert train.inputs.dtype == torch.uint8
    assert train.inputs.numel() * train.inputs.element_size() == 18 * 3 * 16 * 16
    assert len(train.inputs) == 18
    assert torch.equal(train.inputs[2:5], stored(splits).take(torch.arange(2, 5)))
    assert len(train.first(5)) == 5
    assert splits.to("cpu").train is train
    assert as_batches(splits.test).examples == 9
    random = with_random_labels(splits, seed=1)
    assert torch.equal(random.train.inputs[:2], train.inputs[:2])
    assert not torch.equal(random.train.labels, train.labels)


def test_random_boxes_are_inside_with_the_areas_and_ratios_allowed() -> None:
    for width, height in ((500, 375), (40, 60), (64, 64)):
        boxes = np.array([random_box(width, height, 0, 0, i) for i in range(2000)])
        left, top, right, bottom = boxes.T
        assert left.min() >= 0
        assert top.min() >= 0
        assert right.max() <= width + 1e-9
        assert bottom.max() <= height + 1e-9
        area = (right - left) * (bottom - top) / (width * height)
        ratio = (right - left) / (bottom - top)
        assert area.min() >= 0.08 - 1e-9
        assert ratio.min() >= 0.75 - 1e-9
        assert ratio.max() <= 4 / 3 + 1e-9
        assert area.min() < 0.09
        assert area.max() > 0.8


def test_a_strip_too_narrow_for_any_box_gives_its_middle() -> None:
    assert random_box(1000, 10, 0, 0, 0) == pytest.approx((493.333333, 0, 506.666667, 10))
    assert random_box(10, 1000, 0, 0, 0) == pytest.approx((0, 493.333333, 10, 506.666667))


# --- what is refused -------------------------------------------------------------------------


def test_folders_that_are_not_it(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="none does not exist; name the folder of ImageNet"):
        made(tmp_path / "none")
    with pytest.raises(BadArgument, match="holds neither train/<class>/"):
        made(tmp_path)
    (tmp_path / "a" / "train").mkdir(parents=True)
    with pytest.raises(BadArgument, match="train holds no folder; give every class"):
        made(tmp_path / "a")
    copy = shutil.copytree(tree, tmp_path / "b")
    (copy / "train" / "n00").mkdir()
    with pytest.raises(BadArgument, match="train/n00 holds no image .* a class needs at least one"):
        made(copy)
    (copy / "train" / "n00").rmdir()
    shutil.rmtree(copy / "val" / "n02")
    with pytest.raises(BadArgument, match="val/n02 does not exist; .* sorted into them"):
        made(copy)


def test_shares_that_leave_nothing(tree: Path) -> None:
    for share in (0, 1, 1.5):
        with pytest.raises(BadArgument, match=f"share .* in .0, 1.; got {share}. For 2 percent"):
            made(tree, validation=share)
    with pytest.raises(
        BadArgument, match="`validation` 0.001 of 24 training images leaves a split"
    ):
        made(tree, validation=0.001)
    with pytest.raises(BadArgument, match="`size` 0 and `workers` None must be at least 1"):
        made(tree, size=0)


def test_a_damaged_image_is_named_when_it_is_read(tree: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tree, tmp_path / "copy")
    victim = copy / "val" / "n02" / "n02_1.JPEG"
    victim.write_bytes(victim.read_bytes()[:300])
    test = stored(made(copy), "test")
    test.take(torch.arange(4))
    with pytest.raises(BadArgument, match="val/n02/n02_1.JPEG cannot be decoded as an image"):
        test.take(torch.arange(9))
    victim.unlink()
    with pytest.raises(BadArgument, match="n02_1.JPEG cannot be read .*must stay where they are"):
        test.take(torch.arange(9))


def test_parquet_that_is_not_it(tmp_path: Path) -> None:
    image = making.encoded(making.pictures(1, 0)[0])
    train, test = tmp_path / "train-0.parquet", tmp_path / "validation-0.parquet"
    making.parquet(train, [image] * 8, [0, 0, 0, 0, 2, 2, 2, 2], column="image")
    making.parquet(test, [image] * 3, [0, 1, 2], column="image")
    with pytest.raises(BadArgument, match="has no image of class 1 in train-0.parquet"):
        made(tmp_path)
    making.parquet(train, [image] * 8, [0, 1, 2, -1, 0, 1, 2, 0], column="image")
    with pytest.raises(BadArgument, match="rows without a label, or no row at all"):
        made(tmp_path)
    making.parquet(train, [image, None, image, image], [0, 1, 2, 0], column="image")
    splits = made(tmp_path)
    with pytest.raises(BadArgument, match="row 1 of row group 0 of .*train-0.parquet has no image"):
        splits.train.inputs[:], splits.validation.inputs[:]
    making.parquet(train, [image], [0], column="picture")
    with pytest.raises(BadArgument, match="have `image` .bytes and path. and `label`"):
        made(tmp_path)
    train.write_bytes(b"PAR1")
    with pytest.raises(BadArgument, match="cannot be read as Parquet"):
        made(tmp_path)
