"""The data sources keep their promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from frivolous.data import Examples, Splits, digits, teacher_data
from frivolous.errors import BadArgument, FrivolousError


@pytest.mark.parametrize("inputs", [2, 10, 500])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_teacher_is_balanced_and_its_tries_are_stated(inputs, seed):
    data = teacher_data(inputs, seed=seed)
    labels = torch.cat([data.train.labels, data.validation.labels, data.test.labels])
    share = labels.double().mean().item()
    assert 0.4 <= share <= 0.6
    assert data.facts["share_of_label_1"] == share
    assert data.facts["tries"] >= 1


def test_the_inputs_are_uncorrelated_and_splits_are_fresh_draws():
    data = teacher_data(10, train=4000, seed=3)
    correlation = torch.corrcoef(data.train.inputs.T) - torch.eye(10)
    assert correlation.abs().max() < 0.08
    assert not torch.equal(data.validation.inputs, data.test.inputs)
    assert abs(data.train.inputs.std().item() - 1) < 0.02


def test_a_seed_gives_the_same_data_whatever_was_drawn_before():
    first = teacher_data(10, seed=5)
    torch.rand(7)
    again = teacher_data(10, seed=5)
    assert torch.equal(first.train.inputs, again.train.inputs)
    assert torch.equal(first.test.labels, again.test.labels)
    assert not torch.equal(first.train.inputs, teacher_data(10, seed=6).train.inputs)


def test_a_teacher_that_cannot_be_balanced_is_given_up_with_its_number_of_tries():
    with pytest.raises(FrivolousError, match="in 200 tries; use more examples"):
        teacher_data(3, train=1, validation=1, test=1, hidden=1)


def test_digits_are_dealt_once_and_flat_or_as_images():
    data, flat = digits(seed=1), digits(seed=1, flat=True)
    assert torch.equal(data.test.inputs.flatten(1), flat.test.inputs)
    assert data.train.inputs.min() == 0
    assert data.train.inputs.max() == 1
    everything = torch.cat([flat.train.inputs, flat.validation.inputs, flat.test.inputs])
    assert len(everything) == 1797
    assert everything.sum().item() == pytest.approx(561718 / 16)
    with pytest.raises(BadArgument, match="leave some of the 1797 digits"):
        digits(test=1700, validation=97)


def test_digits_are_enlarged_to_bytes_on_request():
    plain, large = digits(), digits(size=32, channels=3)
    assert large.train.inputs.shape == (1000, 3, 32, 32)
    assert large.train.inputs.dtype == torch.uint8
    assert torch.equal(large.train.labels, plain.train.labels)
    assert torch.equal(large.test.inputs[:, 0], large.test.inputs[:, 2])
    same = digits(size=8).train.inputs
    assert torch.equal(same, (plain.train.inputs * 255).round().to(torch.uint8))
    # Pixel centres: scikit-image's and Pillow's rule for enlarging.
    picture = Image.fromarray(plain.train.inputs[0, 0].numpy())
    expected = np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR)) * 255
    assert abs(large.train.inputs[0, 0].numpy() - expected).max() <= 0.5001


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 3}, "`channels` 3 goes with `size`; pass size=8"),
        ({"size": 32, "flat": True}, "`flat` gives the 64 pixels as floats, `size` 32 gives"),
        ({"size": 0}, "`size` 0 and `channels` 1 must be at least 1"),
        ({"size": 9, "channels": 0}, "`size` 9 and `channels` 0 must be at least 1"),
    ],
)
def test_digits_in_no_form_are_refused(options, message):
    with pytest.raises(BadArgument, match=message):
        digits(**options)


def test_examples_and_splits_refuse_what_does_not_fit():
    good = Examples(torch.zeros(3, 2), torch.tensor([0, 1, 1]))
    with pytest.raises(BadArgument, match="`labels` has 2 entries for 3 inputs"):
        Examples(torch.zeros(3, 2), torch.zeros(2))
    with pytest.raises(BadArgument, match="holds no example"):
        Examples(torch.zeros(0, 2), torch.zeros(0))
    with pytest.raises(BadArgument, match="`train.labels` run from 0 to 1; 1 classes"):
        Splits(good, good, good, classes=1)
    with pytest.raises(BadArgument, match="`inputs` must be at least 1; got 0"):
        teacher_data(0)
