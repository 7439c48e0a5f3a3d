import numpy as np
import pytest
import torch

from core.learn import batches
from core.learn.batches import ClassTargets, ImageBatches, MaskTargets, Scaling, WeighedTargets, split_weights
from core.types import NO_LABEL

CPU = torch.device("cpu")


def array() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, 4, 5, 3), dtype=np.uint8)


def test_a_batch_holds_the_scaled_pixels_of_its_rows() -> None:
    scaling = Scaling((0.5, 0.4, 0.3), (0.2, 0.3, 0.5))
    batch = ImageBatches(array(), scaling, CPU).batch(torch.tensor([7, 2]))
    assert batch.shape == (2, 3, 4, 5)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    expected = (array()[[7, 2]] / 255 - np.array(scaling.mean)) / np.array(scaling.std)
    np.testing.assert_allclose(batch.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)


def test_data_larger_than_memory_gives_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    scaling, rows = Scaling.measured(array()), torch.tensor([9, 0, 0])
    resident = ImageBatches(array(), scaling, CPU).batch(rows)
    monkeypatch.setattr(batches, "_RESIDENT_BYTES", 0)
    torch.testing.assert_close(ImageBatches(array(), scaling, CPU).batch(rows), resident)


def test_measured_images_have_mean_0_and_deviation_1() -> None:
    everything = ImageBatches(array(), Scaling.measured(array()), CPU).batch(torch.arange(10))
    torch.testing.assert_close(everything.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(everything.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)


def test_an_evenly_spread_subsample_of_many_or_large_images_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.repeat(array(), 3, axis=0)
    monkeypatch.setattr(batches, "_MEASURED_BYTES", 10 * images[0].size)
    some = images[::3] / 255
    scaling = Scaling.measured(images)
    np.testing.assert_allclose(scaling.mean, some.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(scaling.std, some.std(axis=(0, 1, 2)), rtol=1e-12)
    monkeypatch.setattr(batches, "_MEASURED_BYTES", 1)  # one image is more than that
    np.testing.assert_allclose(Scaling.measured(images).mean, images[0].mean(axis=(0, 1)) / 255, rtol=1e-12)


def test_images_of_one_colour_do_not_divide_by_zero() -> None:
    plain = np.full((3, 4, 4, 1), 9, np.uint8)
    assert ImageBatches(plain, Scaling.measured(plain), CPU).batch(torch.arange(3)).isfinite().all()


def test_labels_are_selected_by_row() -> None:
    assert ClassTargets(np.array([4, NO_LABEL, 2], np.int32), CPU).batch(torch.tensor([2, 1])).tolist() == [2, NO_LABEL]


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize(("dtype", "ignore"), [(np.uint8, 255), (np.uint16, 65_535)])
def test_8_and_16_bit_masks_mark_unknown_pixels(
    monkeypatch: pytest.MonkeyPatch, dtype: type, ignore: int, *, resident: bool
) -> None:
    monkeypatch.setattr(batches, "_RESIDENT_BYTES", 1 << 30 if resident else 0)
    masks = np.zeros((3, 2, 2), dtype)
    masks[1] = [[7, ignore], [ignore - 1, 0]]
    taken = MaskTargets(masks, CPU).batch(torch.tensor([1]))
    assert taken.dtype == torch.int64
    assert taken.tolist() == [[[7, NO_LABEL], [ignore - 1, 0]]]


def test_pixel_weights_are_moved_with_their_classes() -> None:
    masks, weights = (
        np.array([[[0, 3], [20, 255]], [[1, 255], [2, 0]]]),
        np.array([[[0, 127], [254, 9]], [[255] * 2] * 2]),
    )
    both = WeighedTargets(MaskTargets(masks.astype(np.uint8), CPU), MaskTargets(weights.astype(np.uint8), CPU))
    classes, shares = split_weights(both.batch(torch.tensor([1, 0])))
    assert classes.tolist() == [[[1, NO_LABEL], [2, 0]], [[0, 3], [20, NO_LABEL]]]
    assert shares[0].tolist() == [[1, 0], [1, 1]]  # without weights of its own: the largest
    torch.testing.assert_close(shares[1], torch.tensor([[0, 127], [254, 0]]) / 255)
    assert both.shown == MaskTargets.shown
