"""Every tunable number of the chain, declared once; ROS parameters and command-line options are derived from these fields."""

from dataclasses import dataclass, field, fields
from typing import Any

# Sizes of human hands relative to an average adult's, children's included.
SIZE_LIMITS = (0.5, 1.6)


def option(
    default: Any, doc: str, limits: tuple[float, float] | None = None, choices: tuple[str, ...] = (), live: bool = False
) -> Any:
    """A dataclass field with its description and its allowed values; a `live` one may change while images are answered."""
    return field(default=default, metadata={"doc": doc, "limits": limits, "choices": choices, "live": live})


@dataclass(frozen=True)
class ModelConfig:
    """How models run.

    Raises:
        ValueError: naming the field, its value and what is allowed; so do all settings below.
    """

    device: str = option("auto", "where the models run", choices=("auto", "cpu", "cuda", "tensorrt"))
    models_dir: str = option("", "folder of the model files; empty for the ones shipped with the package")
    # The models are small: a second thread takes more from the rest of the robot than it gives.
    threads: int = option(1, "processor threads per model; 0 for one per core", (0, 256))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DetectorConfig(ModelConfig):
    """Settings of `detect.detector`."""

    max_hands: int = option(2, "hands followed at most", (1, 8))
    # Low, since the landmark model judges what the palm model proposes.
    min_palm_score: float = option(0.25, "palm score below which nothing is looked at closer", (0.05, 1.0), live=True)
    min_score: float = option(0.5, "score below which a hand is not reported", (0.05, 1.0), live=True)


@dataclass(frozen=True)
class SamplingConfig(ModelConfig):
    """Settings of all stages that sample."""

    # The same noise serves every frame, so that a resting hand does not flicker.
    seed: int = option(0, "seed of the sampling noise", (0, 2**31 - 1))


@dataclass(frozen=True)
class ImageConfig(SamplingConfig):
    """Settings of the stages that may look at the image."""

    image_features: bool = option(True, "look at the image too, not only at the keypoints found in it")


@dataclass(frozen=True)
class JointConfig(ImageConfig):
    """Settings of `cascade.joint_stage`."""

    n_hypotheses: int = option(8, "joint hypotheses per hand", (1, 64), live=True)
    joint_steps: int = option(4, "denoising steps of the joint hypotheses", (1, 100), live=True)


@dataclass(frozen=True)
class MeshConfig(SamplingConfig):
    """Settings of `cascade.mesh_stage`."""

    mesh_steps: int = option(1, "denoising steps of the mesh latents", (1, 100), live=True)


@dataclass(frozen=True)
class FitConfig(ImageConfig):
    """Settings of `graph.fit`."""

    fit_enabled: bool = option(False, "fit the mesh to the keypoints with the graph diffusion, where it is in models_dir")
    fit_steps: int = option(1, "denoising steps of the fit", (1, 100), live=True)
    fit_budget_ms: float = option(
        60.0, "time for the fit of a hand: fewer steps or none if it is short [ms]; 0 for any", (0.0, 10000.0), live=True
    )
    fit_noise: float = option(
        30.0, "noise that a mesh gets before its fit; the less, the nearer the fit stays", (1.0, 1000.0), live=True
    )
    # A detector's keypoints are good for local corrections. Corrections of whole hands need exact ones (docs/graph.md).
    fit_pull_mm: float = option(
        0.0, "how far off a vertex may be before its fit, as part of a hand; 30 for exact keypoints [mm]", (0.0, 100.0), live=True
    )
    fit_local_mm: float = option(2.0, "how far off the skin about each joint may be by itself [mm]", (0.0, 100.0), live=True)
    fit_turn_deg: float = option(0.0, "how far off its rotation may be; 0 to keep it [deg]", (0.0, 180.0), live=True)


@dataclass(frozen=True)
class DepthFitConfig(ModelConfig):
    """Settings of `graph.skin_fit`."""

    depth_fit: bool = option(True, "bend hands so that their skin lies on the depth, where depth arrives", live=True)
    depth_fit_ms: float = option(
        8.0, "time for that of a hand: fewer steps or none if it is short [ms]; 0 for any", (0.0, 1000.0), live=True
    )


@dataclass(frozen=True)
class TrackConfig:
    """Settings of `track`."""

    max_hands: int = option(2, "hands followed at most", (1, 8))
    one_per_side: bool = option(True, "report one left and one right hand at most, as of one person")
    predict_ms: float = option(100.0, "how long a hand that is not seen is predicted [ms]; 0 for never", (0.0, 500.0), live=True)
    smooth_cutoff_hz: float = option(
        1.5, "cutoff of the smoothing of a hand at rest [Hz]; 0 for no smoothing", (0.0, 100.0), live=True
    )
    smooth_beta: float = option(40.0, "rise of that cutoff with speed [Hz per m/s]", (0.0, 1000.0), live=True)


@dataclass(frozen=True)
class PipelineConfig(DetectorConfig, JointConfig, MeshConfig, FitConfig, DepthFitConfig, TrackConfig):
    """All settings of `HandMeshPipeline`. Each stage takes the part that it needs: its own class above."""

    mirrored_input: bool = option(False, "the image is a selfie view, mirrored left to right; it is turned back first", live=True)
    user_hand_scale: float = option(
        0.0, "size of the user's hand relative to an average adult's, from 0.5; 0 for unknown", (0.0, SIZE_LIMITS[1]), live=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.user_hand_scale < SIZE_LIMITS[0]:
            low, high = SIZE_LIMITS
            raise ValueError(f"user_hand_scale is {self.user_hand_scale}, allowed are 0 for unknown, and {low} to {high}")


def live_changes(before: Any, after: Any) -> set[str]:
    """Names of the fields in which two configurations of one class differ.

    Raises:
        ValueError: if one of them is not `live`.
    """
    changed = [item for item in fields(before) if getattr(before, item.name) != getattr(after, item.name)]
    if fixed := [item.name for item in changed if not item.metadata["live"]]:
        raise ValueError(f"{', '.join(fixed)} cannot change while the models are in use: load them again")
    return {item.name for item in changed}


def check(config: Any) -> None:
    """Raises ValueError if a field of a dataclass made of `option`s is outside its limits or choices."""
    for item in fields(config):
        value, limits, choices = getattr(config, item.name), item.metadata.get("limits"), item.metadata.get("choices")
        if limits and not limits[0] <= value <= limits[1]:
            raise ValueError(f"{item.name} is {value}, allowed are {limits[0]} to {limits[1]}: {item.metadata['doc']}")
        if choices and value not in choices:
            raise ValueError(f"{item.name} is '{value}', allowed are {', '.join(choices)}: {item.metadata['doc']}")
