"""Assignment of samples to folds: stratified by label, groups whole, no fold empty.

A pure function of (ids, labels, groups, seed), whatever the order of the rows. scikit-learn's `StratifiedGroupKFold`
does the same, but its time grows with groups x folds x classes (hours for a million images that are a group each); here
groups of several samples are assigned greedily, then single samples balance the classes.
"""

import numpy as np

from core.types import IntArray, RoundError

_OWN = 0xF01D  # separates these draws from others with the same seed, such as label noise


def deal(ids: IntArray, labels: IntArray, groups: IntArray, *, folds: int, seed: int) -> IntArray:
    """Return each sample's fold, (N,) in [0, folds); ids, labels and groups are (N,), a label may be `NO_LABEL`.

    Raises:
        RoundError: there are fewer groups than folds.
    """
    by_id = np.argsort(ids, kind="stable")
    dealt = np.empty(len(ids), dtype=np.int64)
    dealt[by_id] = _deal_sorted(labels[by_id], groups[by_id], folds, np.random.default_rng([seed, _OWN]))
    return dealt


def _deal_sorted(labels: IntArray, groups: IntArray, folds: int, rng: np.random.Generator) -> IntArray:
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    if len(sizes) < folds:
        raise RoundError(
            f"{folds} folds need {folds} samples or groups that may be separated, there are {len(sizes)}",
            "choose fewer folds, or add more images (or more groups)",
        )
    group = np.argsort(np.argsort(first))[group]  # numbered by their first sample
    sizes = np.bincount(group)
    single = sizes[group] == 1
    kinds, kind = np.unique(labels, return_inverse=True)
    load = np.zeros((len(kinds), folds), dtype=np.int64)
    dealt = np.full(len(labels), -1, dtype=np.int64)
    _deal_groups(dealt, np.flatnonzero(~single), group, kind, load, rng=rng)
    _deal_singles(dealt, np.flatnonzero(single), kind, load, rng)
    return dealt


def _deal_groups(
    dealt: IntArray, rows: IntArray, group: IntArray, kind: IntArray, load: IntArray, *, rng: np.random.Generator
) -> None:
    """Assign each group, largest first, to the fold with the least of its classes; `load` is (classes, folds)."""
    if not len(rows):
        return
    rows = rows[np.argsort(group[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(group[rows], prepend=-1))
    members = np.split(rows, starts[1:])
    shuffled = rng.permutation(len(members))
    sizes = np.diff(np.append(starts, len(rows)))
    scale = 1.0 / np.bincount(kind, minlength=len(load)).astype(np.float64) ** 2
    everything = 1.0 / len(kind) ** 2
    for index in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:  # large first: small ones balance the folds
        classes, counts = np.unique(kind[members[index]], return_counts=True)
        weight = counts * scale[classes]
        # The growth of the summed squared shares of the group's classes, and of the fold's size.
        cost = weight @ load[classes] + everything * sizes[index] * load.sum(axis=0)
        fold = int(cost.argmin())
        dealt[members[index]] = fold
        load[classes, fold] += counts


def _deal_singles(dealt: IntArray, rows: IntArray, kind: IntArray, load: IntArray, rng: np.random.Generator) -> None:
    """Assign the single samples, class by class, so that the folds become balanced."""
    rows = rng.permutation(rows)
    rows = rows[np.argsort(kind[rows], kind="stable")]
    total = load.sum(axis=0)
    for of_kind in np.split(rows, np.flatnonzero(np.diff(kind[rows])) + 1) if len(rows) else []:
        mine = load[kind[of_kind[0]]]
        share = _levelling(mine, total, len(of_kind))
        dealt[of_kind] = np.repeat(np.arange(len(share)), share)
        total += share


def _levelling(load: IntArray, total: IntArray, count: int) -> IntArray:
    """Return the share of `count` samples for each fold that balances `load` best, (folds,)."""
    ascending = np.sort(load)
    filled = ascending * np.arange(1, len(load) + 1) - np.cumsum(ascending)  # needed to lift the lowest ones to here
    lifted = int(np.searchsorted(filled, count, side="right"))
    level = (count + int(ascending[:lifted].sum())) // lifted
    share = np.maximum(level - load, 0)
    rest = count - int(share.sum())
    open_folds = np.flatnonzero(load <= level)
    emptiest = open_folds[np.argsort((total + share)[open_folds], kind="stable")]
    share[emptiest[:rest]] += 1
    return share
