"""Learning masks from a few masks and from tags: two networks that teach each other.

Y. Wang et al., *Learning pseudo labels for semi-and-weakly supervised semantic segmentation*, Pattern Recognition 2022;
rebuilt from its description. Shapes everywhere: B images, K classes, logits (B, K, H, W), masks (B, H, W) int64 with
`NO_LABEL` where nothing is known, tags (B, K) bool: which classes an image shows.
"""
