"""Size of the user's hands relative to an average adult's: a prior, updated by the size from depth in each image.

Sizes multiply, so everything is Gaussian in the logarithm. Images in a row err alike, so an image counts for as much as its time
since the last one is of the time in which errors change. However many there are, an error remains that is the same in all of
them: what the models take for the proportions of this hand, and the detector for its outline.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hand_mesh_ros.core.config import SIZE_LIMITS
from hand_mesh_ros.core.types import ScaleSource

# Size of an adult's hand relative to the average: hand length is 194 +- 10 mm in men, 180 +- 10 mm in women (Gordon et al. 1989,
# "1988 Anthropometric Survey of US Army Personnel", NATICK/TR-89/044), 6.3 % over both; the rest is for other populations.
PRIOR_REL_STD = 0.08
USER_REL_STD = 0.02
# Errors of the size seen by depth: the part that no number of images averages away, and how long the rest stays alike [s].
FLOOR_REL_STD = 0.035
_ALIKE_S = 0.5
# A size further off than this many standard deviations is not this user's hand, or not a hand; after this many such images in a
# row it is another user.
_GATE, _IMAGES_TO_START_AGAIN = 3.0, 30


@dataclass(frozen=True)
class Scale:
    """Size of the hand relative to an average adult's, and how it is known."""

    factor: float
    rel_std: float
    source: ScaleSource

    def __post_init__(self) -> None:
        if not (SIZE_LIMITS[0] <= self.factor <= SIZE_LIMITS[1] and 0 < self.rel_std < 1):
            raise ValueError(
                f"a hand of {self.factor:.3g} times the average size, known to {self.rel_std:.3g}: "
                f"sizes are {SIZE_LIMITS[0]} to {SIZE_LIMITS[1]}, their relative standard deviation between 0 and 1"
            )


PRIOR = Scale(1.0, PRIOR_REL_STD, "prior")


def given_size(user_hand_scale: float) -> Scale:
    """The size from the setting `user_hand_scale`; the prior if the setting is 0."""
    return Scale(user_hand_scale, USER_REL_STD, "user") if user_hand_scale else PRIOR


@dataclass(frozen=True)
class SizeMeasure:
    """What one hand in one image says of the size, whatever was known before."""

    log_size: float
    std: float


class UserScale:
    """The size of one user's hands over a stream of images; both hands count. Nothing is older than the last `reset`.

    To give another size to begin with, take another one: it may be done while this one is at work in another thread.
    """

    def __init__(self, given: Scale = PRIOR) -> None:
        """Begins with what is known without any image, which `reset` comes back to."""
        self._given = given
        self.reset()

    @property
    def images(self) -> int:
        """Images that counted since the last reset."""
        return self._state.images

    @property
    def known(self) -> Scale:
        """The current size. Its source is the evidence with the smaller variance."""
        given = _Gaussian(math.log(self._given.factor), self._given.rel_std**2)
        state = self._state  # read once: another thread may reset it
        if not state.images:
            return self._given
        seen = _Gaussian(state.seen.mean, state.seen.variance + FLOOR_REL_STD**2)
        both = given.with_(seen)
        factor = min(max(math.exp(both.mean), SIZE_LIMITS[0]), SIZE_LIMITS[1])
        # What depth told before has the same error that remains.
        least = FLOOR_REL_STD if self._given.source == "depth" else 0.0
        rel_std = max(math.sqrt(both.variance), least)
        return Scale(factor, rel_std, "depth" if seen.variance < given.variance else self._given.source)

    def reset(self) -> None:
        """Forgets all images."""
        self._state = _State()
        self._refused = 0

    def step(self, measures: Iterable[SizeMeasure], stamp_s: float) -> None:
        """Updates the size with the measures of the next image; the list is empty if depth gave no size."""
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
        # Two hands of one image err alike too, so they count as one.
        best = min(believed, key=lambda measure: measure.std)
        state = self._state
        share = min(max(stamp_s - state.seen_s, 0.0) / _ALIKE_S, 1.0)
        seen, seen_s = state.seen, state.seen_s
        if share:
            seen, seen_s = seen.with_(_Gaussian(best.log_size, best.std**2 / share)), stamp_s
        self._state = _State(state.images + 1, seen, seen_s)

    def _is_believable(self, measure: SizeMeasure) -> bool:
        # The first one may be anybody's: a child's hand is far from what is expected of an adult.
        if not self.images:
            return True
        known = self.known
        expected = math.sqrt(known.rel_std**2 + measure.std**2 + FLOOR_REL_STD**2)
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
    """What images say of the size. Replaced as a whole, so that another thread never reads half of a change."""

    images: int = 0
    seen: _Gaussian = _Gaussian(0.0, math.inf)
    seen_s: float = -math.inf  # stamp of the last image that counted
