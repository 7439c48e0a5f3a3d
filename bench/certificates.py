"""False certificates and verdicts needed, by simulated audits that stop at once (pure numpy, no network).

    python bench/certificates.py [DATA] [--json FILE] [--audits 2000]

DATA is accepted as by the other benchmarks and not used: sets of N cards are drawn with a known count of wrong ones.
An audit judges them in uniform order and stops at the first moment at which its method certifies that 95 % are right.
Beside the certificate of the app: the same with a uniform prior; and the Clopper-Pearson bound (naive), which holds for
one look at a sample of fixed size, looked at after each verdict. A certificate is false if the share of right cards
lies just under the target: with one wrong card less the promise would hold.

Each rule of an audit is simulated with and without, on 2,000 cards just under the target. Without a rule:
- prefix: 10, 30 or 50 % of the wrong cards are skipped and the evidence runs over the others, for 600 verdicts;
- permutation: an audit without a certificate after 200 verdicts starts again with another seed, five times at most;
- overlap: five nested sets, 200 verdicts each, have alpha each;
- quarters: the four quarters of the set, each judged to its end, have alpha each; also counted together with the audit
  of the whole set, 200 verdicts, before them.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import binom

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.judge.certificate import ALPHA, QUARTERS, BoolArray, Claim, alpha_of, follow
from core.types import IntArray
from tools.fixtures.audits import NEVER, certificate_limits, draw_wrong, stopped_at

SIZES = (200, 2_000, 20_000, 100_000)
RIGHT = {"at_1": 1.0, "at_99": 0.99, "at_97": 0.97}  # shares at which the verdicts needed are counted
SHOWN = 20_000  # cards of the set whose medians are the figures to reach
RULES = 2_000  # cards of the set on which the rules are simulated
PATIENCE = 200  # verdicts after which an audit is given up
PREFIX = 600  # verdicts of an audit that skips cards
ATTEMPTS = 5  # restarts, and nested sets
Boundary = Callable[[Claim], IntArray]  # fewest verdicts that certify a claim while f of them are wrong, (E0,)


def main() -> None:
    """Simulate all and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="not used")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--audits", type=int, default=2000, help="of each setting")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    methods: dict[str, Boundary] = {"": certificate_limits, "uniform_": uniform_prior, "naive_": clopper_pearson}
    print(f"{'':<24}{'false just under':>18}" + "".join(f"{f'verdicts at {share}':>18}" for share in RIGHT.values()))
    for size in SIZES:
        for method, boundary in methods.items():
            found = simulate(Claim(size=size), boundary, arguments.audits)
            figures |= {f"{method}{name}_of_{size}": value for name, value in found.items()}
            false, *verdicts = found.values()
            name = f"{size:>7} {method.strip('_') or 'certificate'}"
            print(f"{name:<24}{false:>18.4f}" + "".join(f"{count:>18.0f}" for count in verdicts), flush=True)
    for method in methods:
        figures[f"{method}false_certificate_rate"] = max(figures[f"{method}false_of_{size}"] for size in SIZES)
    figures["naive_false_rate"] = figures.pop("naive_false_certificate_rate")
    figures |= {f"verdicts_{name}": figures[f"verdicts_{name}_of_{SHOWN}"] for name in RIGHT}
    print(f"{'':<34}{'with the rule':>14}{'without':>9}")
    for name, (kept, broken) in rules(arguments.audits).items():
        figures |= {f"{name}_with": kept, f"{name}_without": broken}
        print(f"{name:<34}{kept:>14.4f}{broken:>9.4f}", flush=True)
    figures |= {f"milliseconds_after_{count}": milliseconds(count) for count in (100, 1_000)}
    names = ("false_certificate_rate", "naive_false_rate", *(f"verdicts_{name}" for name in RIGHT))
    for name in (*names, "milliseconds_after_100", "milliseconds_after_1000"):
        print(f"{name:<34}{figures[name]:>14.4f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def simulate(claim: Claim, boundary: Boundary, audits: int) -> dict[str, float]:
    """Return the share of false certificates just under the target, and the median verdicts at the shares above it."""
    limits = boundary(claim)
    false = stopped_at(draw_wrong(claim.size, claim.least_breaking, audits), limits) < NEVER
    found = {"false": float(false.mean())}
    for name, share in RIGHT.items():
        wrong = round((1 - share) * claim.size)
        found[f"verdicts_{name}"] = float(np.median(stopped_at(draw_wrong(claim.size, wrong, audits), limits)))
    return found


class _UniformPrior(Claim):
    """Claim whose evidence starts from the uniform prior."""

    @property
    def prior(self) -> float:
        return 1.0


def uniform_prior(claim: Claim) -> IntArray:
    """Return the boundary of the same evidence with a uniform prior on the share of wrong cards."""
    return certificate_limits(_UniformPrior(size=claim.size, target=claim.target, alpha=claim.alpha))


def clopper_pearson(claim: Claim) -> IntArray:
    """Return the boundary of the upper Clopper-Pearson bound at 1 - alpha, checked after each verdict."""
    wrong = np.arange(claim.least_breaking)
    short, enough = wrong.copy(), np.full_like(wrong, claim.size)  # everything judged is a count
    while (enough - short > 1).any():
        middle = (short + enough) // 2
        shown = binom.cdf(wrong, middle, float(1 - claim.target)) <= claim.alpha
        short, enough = np.where(shown, short, middle), np.where(shown, middle, enough)
    return enough


def rules(audits: int) -> dict[str, tuple[float, float]]:
    """Return the share of rounds with a false certificate, with each rule and without."""
    claim = Claim(size=RULES)
    found, limits = draw_wrong(claim.size, claim.least_breaking, audits), certificate_limits(claim)
    rates = {f"prefix_{share:.0%}": prefix_rule(found, limits, share) for share in (0.1, 0.3, 0.5)}
    again = [draw_wrong(claim.size, claim.least_breaking, audits, seed) for seed in range(ATTEMPTS + 1)]
    rates["permutation"] = (
        float((stopped_at(found, limits) <= PATIENCE * (ATTEMPTS + 1)).mean()),
        any_of([stopped_at(one, limits) <= PATIENCE for one in again]),
    )
    nested = [Claim(size=RULES * (10 - kth) // 10) for kth in range(ATTEMPTS)]
    rates["overlap"] = (
        any_of([certified_early(replace(one, alpha=alpha_of(kth)), audits) for kth, one in enumerate(nested, start=1)]),
        any_of([certified_early(one, audits) for one in nested]),
    )
    kept, broken = (quarters_rule(alpha, audits) for alpha in (ALPHA / QUARTERS, ALPHA))
    rates |= {name: (kept[name], broken[name]) for name in kept}
    return rates


def prefix_rule(found: IntArray, limits: IntArray, share: float) -> tuple[float, float]:
    """Return the false certificates where this share of the wrong cards is skipped.

    With the rule the first skipped card ends the evidence; without, skipped cards are left out of the permutation.
    """
    skipped = np.random.default_rng(0).random(found.shape) < share
    first = np.where(skipped, found, NEVER).min(axis=1)
    left = np.sort(np.where(skipped, NEVER, found - np.cumsum(skipped, axis=1)), axis=1)
    kept, broken = stopped_at(found, limits) < np.minimum(first, PREFIX + 1), stopped_at(left, limits) <= PREFIX
    return float(kept.mean()), float(broken.mean())


def quarters_rule(alpha: float, audits: int) -> dict[str, float]:
    """Return the frequency of false certificates at alpha: of a quarter of a set, and of a quarter or the set."""
    part = Claim(size=RULES // QUARTERS, alpha=alpha)
    is_wrong = np.arange(part.size) < part.least_breaking  # in each quarter
    order = np.tile(np.arange(RULES), (audits, 1))
    places = np.random.default_rng(0).permuted(order, axis=1).reshape(audits, QUARTERS, -1)
    whole = np.sort(places[:, :, is_wrong].reshape(audits, -1), axis=1) + 1
    limits = certificate_limits(part)
    ranks = np.sort(places.argsort(axis=2).argsort(axis=2)[:, :, is_wrong], axis=2) + 1  # (audits, quarters, wrong)
    quarters = [stopped_at(ranks[:, number], limits) < NEVER for number in range(QUARTERS)]
    before = stopped_at(whole, certificate_limits(Claim(size=RULES))) <= PATIENCE
    return {"quarters": any_of(quarters), "set_and_quarters": any_of([before, *quarters])}


def certified_early(claim: Claim, audits: int) -> BoolArray:
    """Return which audits of a set just under the target are certified before they are given up, (audits,)."""
    return stopped_at(draw_wrong(claim.size, claim.least_breaking, audits), certificate_limits(claim)) <= PATIENCE


def any_of(certified: list[BoolArray]) -> float:
    """Return the share of rounds in which any of these audits is certified; each (audits,)."""
    return float(np.any(certified, axis=0).mean())


def milliseconds(count: int) -> float:
    """Return the CPU milliseconds of the evidence after this many verdicts on ten million cards."""
    claim, right = Claim(size=10_000_000), np.random.default_rng(0).random(count) < 0.97
    started = time.process_time()
    for _ in range(10):
        follow(claim, right)
    return (time.process_time() - started) * 100


if __name__ == "__main__":
    main()
