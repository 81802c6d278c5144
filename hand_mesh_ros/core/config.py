"""All settings of the chain. Each field becomes a ROS parameter and a command-line option."""

from dataclasses import dataclass, field, fields
from typing import Any

# Smallest and largest human hand relative to an average adult's hand, children included.
SIZE_LIMITS = (0.5, 1.6)


def option(
    default: Any, doc: str, limits: tuple[float, float] | None = None, choices: tuple[str, ...] = (), live: bool = False
) -> Any:
    """A dataclass field with its description and its allowed values. A `live` field may change while the pipeline runs."""
    return field(default=default, metadata={"doc": doc, "limits": limits, "choices": choices, "live": live})


@dataclass(frozen=True)
class ModelConfig:
    """Settings for running the models.

    Raises:
        ValueError: if a field has a value that is not allowed. The other classes in this module raise the same error.
    """

    device: str = option("auto", "device that runs the models", choices=("auto", "cpu", "cuda", "tensorrt"))
    models_dir: str = option("", "folder of the model files; empty for the files shipped with the package")
    # Most models are small: a second thread uses more processor time than it saves.
    threads: int = option(1, "processor threads per model, except for the landmark model; 0 for one per core", (0, 256))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DetectorConfig(ModelConfig):
    """Settings of `detect.detector`."""

    # A second thread makes the landmark model a fifth faster for a quarter more processor time.
    landmark_threads: int = option(2, "processor threads of the landmark model; 0 for one per core", (0, 256))
    max_hands: int = option(2, "hands followed at most", (1, 8))
    # The default is low, because the landmark model checks every palm.
    min_palm_score: float = option(0.25, "palms with a lower score are ignored", (0.05, 1.0), live=True)
    min_score: float = option(0.5, "hands with a lower score are not reported", (0.05, 1.0), live=True)
    min_hand_px: float = option(
        45.0,
        "smallest hand to search for, from wrist to fingertips [px]; smaller hands take longer to find",
        (20.0, 1000.0),
        live=True,
    )
    # The default is the time of two runs of the palm model on a CPU. Large images get more time (`detect.search`). At least one
    # part of the image is always searched.
    search_budget_ms: float = option(
        24.0, "time per image to follow and find hands while no hand is in view [ms]", (0.0, 1000.0), live=True
    )


@dataclass(frozen=True)
class SamplingConfig(ModelConfig):
    """Settings of all stages that sample."""

    # Every image uses the same noise, so that a hand at rest does not flicker.
    seed: int = option(0, "seed of the sampling noise", (0, 2**31 - 1))


@dataclass(frozen=True)
class ImageConfig(SamplingConfig):
    """Settings of the stages that can use image features."""

    image_features: bool = option(True, "also use image features, with models that were trained with them")


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

    fit_enabled: bool = option(False, "fit the mesh to the keypoints with the graph diffusion; needs its files in models_dir")
    fit_steps: int = option(1, "denoising steps of the fit", (1, 100), live=True)
    fit_budget_ms: float = option(
        60.0, "time limit for the fit of a hand: fewer steps or no fit if too short [ms]; 0: no limit", (0.0, 10000.0), live=True
    )
    fit_noise: float = option(
        30.0, "noise level at which the fit starts; with less noise the mesh changes less", (1.0, 1000.0), live=True
    )
    # The detector's keypoints are exact enough for local corrections. To correct the whole hand, keypoints must be exact
    # (docs/graph.md).
    fit_pull_mm: float = option(
        0.0, "prior error of a vertex for changes of the whole hand; 30 for exact keypoints [mm]", (0.0, 100.0), live=True
    )
    fit_local_mm: float = option(
        2.0, "prior error of the skin around each joint, for local changes [mm]", (0.0, 100.0), live=True
    )
    fit_turn_deg: float = option(0.0, "prior error of the hand's rotation; 0 keeps the rotation [deg]", (0.0, 180.0), live=True)


@dataclass(frozen=True)
class DepthFitConfig(ModelConfig):
    """Settings of `graph.skin_fit`."""

    depth_fit: bool = option(True, "if depth arrives, change the shape of hands to match it", live=True)
    depth_fit_ms: float = option(
        8.0,
        "time limit for the fit of a hand to depth: fewer steps or no fit if too short [ms]; 0: no limit",
        (0.0, 1000.0),
        live=True,
    )


@dataclass(frozen=True)
class TrackConfig:
    """Settings of `track`."""

    max_hands: int = option(2, "hands followed at most", (1, 8))
    one_per_side: bool = option(True, "report at most one left and one right hand, the hands of one person")
    predict_ms: float = option(100.0, "maximum prediction of a hand that is not detected [ms]; 0: none", (0.0, 500.0), live=True)
    smooth_cutoff_hz: float = option(
        1.5, "cutoff frequency of the smoothing for a hand at rest [Hz]; 0: no smoothing", (0.0, 100.0), live=True
    )
    smooth_beta: float = option(40.0, "increase of the cutoff frequency with speed [Hz per m/s]", (0.0, 1000.0), live=True)


@dataclass(frozen=True)
class PipelineConfig(DetectorConfig, JointConfig, MeshConfig, FitConfig, DepthFitConfig, TrackConfig):
    """All settings of `HandMeshPipeline`. Each stage reads its own part: one of the classes above."""

    mirrored_input: bool = option(False, "the image is mirrored left to right; it is mirrored back before detection", live=True)
    user_hand_scale: float = option(
        0.0, "size of the user's hand relative to an average adult's, 0.5 or more; 0: unknown", (0.0, SIZE_LIMITS[1]), live=True
    )

    latency_target_ms: float = option(
        0.0,
        "while images take longer than this time, use fewer hypotheses and joint steps [ms]; 0: always use all",
        (0.0, 10000.0),
        live=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 < self.user_hand_scale < SIZE_LIMITS[0]:
            low, high = SIZE_LIMITS
            raise ValueError(f"user_hand_scale is {self.user_hand_scale}, allowed are 0 for unknown, and {low} to {high}")


def live_changes(before: Any, after: Any) -> set[str]:
    """Names of the fields that differ between two configurations of the same class.

    Raises:
        ValueError: if a field that is not `live` differs.
    """
    changed = [item for item in fields(before) if getattr(before, item.name) != getattr(after, item.name)]
    if fixed := [item.name for item in changed if not item.metadata["live"]]:
        raise ValueError(f"{', '.join(fixed)} cannot change while the models are in use: load the models again")
    return {item.name for item in changed}


def check(config: Any) -> None:
    """Raises ValueError if a field of a configuration is outside its limits or choices."""
    for item in fields(config):
        value, limits, choices = getattr(config, item.name), item.metadata.get("limits"), item.metadata.get("choices")
        if limits and not limits[0] <= value <= limits[1]:
            raise ValueError(f"{item.name} is {value}, allowed are {limits[0]} to {limits[1]}: {item.metadata['doc']}")
        if choices and value not in choices:
            raise ValueError(f"{item.name} is '{value}', allowed are {', '.join(choices)}: {item.metadata['doc']}")
