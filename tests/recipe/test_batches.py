"""The images of an epoch depend on seed, phase and epoch alone."""
from dataclasses import replace

import numpy as np
import pytest

from tfold.errors import BadInputError
from tfold.recipe.batches import Batches


def epoch(batches, number):
    batches.enter(number)
    return [batches[i] for i in range(len(batches))]


@pytest.mark.parametrize("augment", ["none", "shift", "shift+flip"])
def test_an_epoch_is_the_same_whatever_came_before(data, augment):
    first = Batches(data, 32, augment, seed=3)
    epoch(first, 0), epoch(first, 1)
    for (x, y), (u, v) in zip(epoch(first, 2), epoch(Batches(data, 32, augment, seed=3), 2), strict=True):
        assert np.array_equal(x, u) and np.array_equal(y, v)


@pytest.mark.parametrize("augment", ["none", "shift"])
def test_seeds_phases_and_epochs_differ(data, augment):
    seen = {b"".join(x.tobytes() for x, _ in epoch(Batches(data, 32, augment, seed, phase=phase), number))
            for seed in (0, 1) for phase in ("alpha", "post") for number in (0, 1)}
    assert len(seen) == 8


def test_without_changes_every_image_comes_once(data):
    images = np.concatenate([x for x, _ in epoch(Batches(data, 36), 0)])
    assert len(images) == len(data.x_train)
    assert {i.tobytes() for i in images} == {i.tobytes() for i in data.inputs(data.x_train)}


def test_shifts_move_and_flips_mirror(data):
    """Every changed image is a window of the padded original, mirrored or not."""
    batches = Batches(data, 24, "shift+flip", pixels=1)
    batches.enter(0)
    chosen, (images, _) = batches.order[:24], batches[0]
    kinds = set()
    for index, image in zip(chosen, images, strict=True):
        padded = np.pad(data.x_train[index], ((1, 1), (1, 1), (0, 0)))
        found = [(down, right, flip) for down in range(3) for right in range(3) for flip in (False, True)
                 if np.array_equal(data.inputs(padded[down:down + 6, right:right + 6][:, ::-1 if flip else 1]), image)]
        assert found
        kinds.add(found[0])
    assert len(kinds) > 6


def test_fit_is_given_the_same_batches_of_the_epoch_it_is_in(data):
    batches = Batches(data, 32, "shift", seed=3)
    given = batches.for_fit()
    for number in (0, 4):
        expected = epoch(batches, number)
        assert len(given) == len(expected)
        for (x, y), (u, v) in zip(given, expected, strict=True):
            assert np.array_equal(x, u) and np.array_equal(y, v) and (x.dtype, y.dtype) == (u.dtype, v.dtype)
    assert given.options().autotune.enabled is False


def test_bad_arguments_are_refused(data):
    with pytest.raises(BadInputError, match="augment is one of"):
        Batches(data, augment="rotate")
    with pytest.raises(BadInputError, match="batch counts"):
        Batches(data, 0)
    with pytest.raises(BadInputError, match="augment='none'"):
        Batches(replace(data, x_train=data.x_train.reshape(len(data.x_train), -1)), augment="shift")
