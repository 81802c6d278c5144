"""Size of the user's hands relative to an average adult: a prior, updated with the size from depth in each image.

Sizes are factors, so the logarithm of the size is Gaussian. The errors of successive images are correlated. So the weight of an
image is the time since the previous image divided by the correlation time of the errors. A constant error remains for any number
of images: the error of the models in the proportions of this hand, and the error of the detector in the outline of this hand.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hand_mesh_ros.core.config import SIZE_LIMITS
from hand_mesh_ros.core.types import ScaleSource

# Standard deviation of an adult's hand size relative to the average. Hand length is 194 +- 10 mm for men and 180 +- 10 mm for
# women (Gordon et al. 1989, "1988 Anthropometric Survey of US Army Personnel", NATICK/TR-89/044): 6.3 % over men and women. The
# value here is larger because other populations differ.
PRIOR_REL_STD = 0.08
USER_REL_STD = 0.02
# Errors of the size from depth: the constant part, which averaging does not reduce, and the correlation time of the rest [s].
FLOOR_REL_STD = 0.035
_ALIKE_S = 0.5
# A size with a larger difference [standard deviations] is from another user or not from a hand. After this number of successive
# images with such sizes, the size is reset for a new user.
_GATE, _IMAGES_TO_START_AGAIN = 3.0, 30
# Differences of a size from depth [standard deviations]: a smaller one raises no doubt about depth, a larger one the full doubt.
_LIKELY, _UNLIKELY = 1.4, 2.0


@dataclass(frozen=True)
class Scale:
    """Size of the hand relative to an average adult, with its uncertainty and source."""

    factor: float
    rel_std: float
    source: ScaleSource
    # Part of `rel_std`: relative standard deviation of the unit of depth. More than 0 if the size from depth is unlikely.
    depth_std: float = 0.0

    def __post_init__(self) -> None:
        if not (SIZE_LIMITS[0] <= self.factor <= SIZE_LIMITS[1] and 0 < self.rel_std < 1):
            raise ValueError(
                f"hand size is {self.factor:.3g} times the average size with relative standard deviation {self.rel_std:.3g}: "
                f"size must be {SIZE_LIMITS[0]} to {SIZE_LIMITS[1]}, relative standard deviation must be between 0 and 1"
            )


PRIOR = Scale(1.0, PRIOR_REL_STD, "prior")


def given_size(user_hand_scale: float) -> Scale:
    """The size from the setting `user_hand_scale`; the prior if the setting is 0."""
    return Scale(user_hand_scale, USER_REL_STD, "user") if user_hand_scale else PRIOR


@dataclass(frozen=True)
class SizeMeasure:
    """Size of one hand from the depth of one image, without a prior."""

    log_size: float
    std: float


def depth_doubt(seen: SizeMeasure, expected: Scale) -> float:
    """Relative standard deviation of the unit of depth, after depth gave the size `seen` instead of the size `expected`.

    Depth times 0.8 before an adult cannot be distinguished from correct depth before a child. So for an unlikely size, the
    standard deviation contains half of the difference: each of the two explanations is then within two standard deviations.
    """
    difference = abs(seen.log_size - math.log(expected.factor))
    stds = difference / math.hypot(expected.rel_std, FLOOR_REL_STD, seen.std)
    share = min(max((stds - _LIKELY) / (_UNLIKELY - _LIKELY), 0.0), 1.0)
    return float(0.5 * share * difference)


class UserScale:
    """Size of the hands of one user over a stream of images since the last `reset`. Left and right hands are used.

    To change the initial size, create a new object. This is safe while another thread uses the old object.
    """

    def __init__(self, given: Scale = PRIOR) -> None:
        """Starts with the size `given`. `reset` returns to this size."""
        self._given = given
        self.reset()

    @property
    def images(self) -> int:
        """Number of images that were used since the last reset."""
        return self._state.images

    @property
    def known(self) -> Scale:
        """The current size. Its source is the source with the smaller variance."""
        given = _Gaussian(math.log(self._given.factor), self._given.rel_std**2 - self._given.depth_std**2)
        state = self._state  # read only once, because another thread may reset the state
        if not state.images:
            return self._given
        seen = _Gaussian(state.seen.mean, state.seen.variance + FLOOR_REL_STD**2)
        both = given.with_(seen)
        factor = min(max(math.exp(both.mean), SIZE_LIMITS[0]), SIZE_LIMITS[1])
        # A given size from depth has the same constant error.
        least = FLOOR_REL_STD if self._given.source == "depth" else 0.0
        doubt = depth_doubt(SizeMeasure(state.seen.mean, math.sqrt(state.seen.variance)), self.without_depth)
        rel_std = math.hypot(max(math.sqrt(both.variance), least), doubt)
        return Scale(factor, rel_std, "depth" if seen.variance < given.variance else self._given.source, doubt)

    @property
    def without_depth(self) -> Scale:
        """What is known of the size without depth: a size from the user, or the prior."""
        return PRIOR if self._given.source == "depth" else self._given

    def reset(self) -> None:
        """Forgets all images."""
        self._state = _State()
        self._refused = 0

    def step(self, measures: Iterable[SizeMeasure], stamp_s: float) -> None:
        """Updates the size with the measurements of the next image. Without a size from depth the list is empty."""
        measures = [measure for measure in measures if SIZE_LIMITS[0] < math.exp(measure.log_size) < SIZE_LIMITS[1]]
        if not measures:
            return
        believed = [measure for measure in measures if self._is_believable(measure)]
        if not believed:
            self._refused += 1
            if self._refused >= _IMAGES_TO_START_AGAIN:
                self.reset()
            return
        self._refused = 0
        # The errors of two hands in one image are also correlated, so only the better measurement is used.
        best = min(believed, key=lambda measure: measure.std)
        state = self._state
        share = min(max(stamp_s - state.seen_s, 0.0) / _ALIKE_S, 1.0)
        seen, seen_s = state.seen, state.seen_s
        if share:
            seen, seen_s = seen.with_(_Gaussian(best.log_size, best.std**2 / share)), stamp_s
        self._state = _State(state.images + 1, seen, seen_s)

    def _is_believable(self, measure: SizeMeasure) -> bool:
        # The first measurement is always accepted, because the user may be a child with a size far from the prior.
        if not self.images:
            return True
        known = self.known
        expected = math.sqrt(known.rel_std**2 - known.depth_std**2 + measure.std**2 + FLOOR_REL_STD**2)
        return abs(measure.log_size - math.log(known.factor)) < _GATE * expected


@dataclass(frozen=True)
class _Gaussian:
    mean: float
    variance: float

    def with_(self, other: "_Gaussian") -> "_Gaussian":
        """The normalised product of the two Gaussians: the combination of two independent sources."""
        if not math.isfinite(self.variance):
            return other
        share = self.variance / (self.variance + other.variance)
        return _Gaussian(self.mean + share * (other.mean - self.mean), share * other.variance)


@dataclass(frozen=True)
class _State:
    """Size from the images. The whole object is replaced at each change, so another thread never reads a partial change."""

    images: int = 0
    seen: _Gaussian = _Gaussian(0.0, math.inf)
    seen_s: float = -math.inf  # stamp of the last image that was used
