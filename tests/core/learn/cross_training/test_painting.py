import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.learn.batches import Images, Scaling
from core.learn.cross_training.painting import Canvas, mask_of, painted, sure_mask_of
from core.learn.views import View
from core.types import IGNORE

CPU = torch.device("cpu")


def canvas() -> Canvas:
    return Canvas(np.array([[6, 8], [8, 6]]), np.array([[12, 16], [16, 12]]))


def logits() -> Tensor:
    return torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_likeliest_class_is_found_at_the_images_own_size() -> None:
    large = F.interpolate(logits()[None, :, :6, :8], (12, 16), mode="bilinear", align_corners=False)[0]
    mask = mask_of(logits(), canvas(), 0)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, large.argmax(dim=0).numpy())


def test_under_the_tags_only_present_classes_are_painted() -> None:
    large = F.interpolate(logits()[None, :, :8, :6], (16, 12), mode="bilinear", align_corners=False)[0]
    mask = mask_of(logits(), canvas(), 1, np.array([True, False, True]))
    np.testing.assert_array_equal(mask, np.where(large[0] >= large[2], 0, 2))
    assert (mask_of(logits(), canvas(), 1, np.zeros(3, np.bool_)) == IGNORE).all()


def test_how_sure_it_is_is_shared_by_what_is_there() -> None:
    large = F.interpolate(logits()[None, :, :8, :6], (16, 12), mode="bilinear", align_corners=False)[0]
    mask, sure = sure_mask_of(logits(), canvas(), 1, np.array([True, False, True]))
    probs = large[[0, 2]].softmax(dim=0)
    np.testing.assert_array_equal(mask, np.array([0, 2])[probs.argmax(dim=0)])
    np.testing.assert_allclose(sure, 255 * probs.max(dim=0).values, atol=0.51)
    plain, less_sure = sure_mask_of(logits(), canvas(), 1)
    np.testing.assert_array_equal(plain, mask_of(logits(), canvas(), 1))
    same = plain == mask
    assert (less_sure[same] <= sure[same]).all()
    assert (sure_mask_of(logits(), canvas(), 1, np.array([False, True, False]))[1] == 255).all()
    assert (sure_mask_of(logits(), canvas(), 1, np.zeros(3, np.bool_))[1] == 0).all()


class Sided(nn.Module):
    """Says which side a pixel is on: its logits differ with the place alone, so a mirrored look disagrees."""

    def forward(self, images: Tensor) -> Tensor:
        across = torch.linspace(0, 1, images.shape[3]).expand(len(images), *images.shape[2:])
        return torch.stack((across, 0.8 * (1 - across) + 0.2, torch.full_like(across, 0.55)), dim=1)


def test_all_sizes_and_the_mirror_are_averaged_before_the_tags_decide() -> None:
    array = np.zeros((2, 8, 8, 3), np.uint8)
    images = Images(array, Scaling((0.5,) * 3, (0.5,) * 3), CPU)
    view = View(Sided(), crop=0, scales=(0.5, 1.0, 1.5), flip=True)
    tags = np.array([[True, True, True], [True, False, True]])
    looked = painted(
        view, images, np.array([1, 0]), canvas(), tags, at_once=2, on_look=print, should_stop=lambda: False
    )
    found = {row: mask for row, mask, _ in looked}
    assert list(found) == [1, 0]
    assert found[0].shape == (12, 16)
    assert (found[0] == 1).all()  # its mean is .6 everywhere, the others' .5 and .55
    assert (found[1] == 2).all()
