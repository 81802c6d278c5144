"""The configuration of each task. The options of the command line are the fields of these classes."""

from dataclasses import dataclass, fields
from typing import Any

from hand_mesh_ros.core.config import option
from models_train.hands.poses import NATURAL_SHARE
from models_train.tasks.task import TrainConfig


@dataclass(frozen=True)
class JointConfig(TrainConfig):
    """Settings of the joint stage."""

    views: str = option("", "folder of stored views by the real detector; empty to train on modelled views alone")
    natural_share: float = option(NATURAL_SHARE, "share of recorded poses in the modelled views", (0, 1))
    width: int = option(256, "of the layers; a start has its own width", (8, 4096))
    real_views: str = option(
        "", "folder of views of data sets (models_train.datasets.views); the weights are then non-commercial"
    )
    real_share: float = option(0.75, "share of the views of data sets in a batch; the rest are modelled views", (0, 1))
    start: str = option("", "folder of model files to start from; empty for random weights")
    trained: str = option("all", "networks to train; the mesh stage fits a changed denoiser only", choices=("all", "denoiser"))


@dataclass(frozen=True)
class KeypointConfig(TrainConfig):
    """Settings of the correction of keypoints."""

    views: str = option("", "folder of stored natural views by the real detector")


@dataclass(frozen=True)
class AutoencoderConfig(TrainConfig):
    """Settings of the mesh autoencoder."""


@dataclass(frozen=True)
class LatentConfig(TrainConfig):
    """Settings of the latent denoiser of the mesh stage."""

    source: str = option("", "run folder of the trained mesh_autoencoder")
    natural_share: float = option(NATURAL_SHARE, "share of recorded poses in the modelled views", (0, 1))
    joints: str = option("", "run folder of the trained joint stage")
    skeletons: str = option("both", "skeletons to train on", choices=("both", "stage_one", "noisy_truth"))


@dataclass(frozen=True)
class GraphConfig(TrainConfig):
    """Settings of the graph diffusion."""

    views: str = option("", "folder of stored views by the real detector; empty to train without images")
    natural_share: float = option(0.0, "share of recorded poses in the hands without images; the shipped model used 0", (0, 1))
    start: str = option("", "folder of model files to start from; empty for random weights")
    real_views: str = option("", "folder of pictures of data sets (models_train.datasets.views --pictures); needs a trunk")
    trunk: str = option("", "network from pictures to feature maps", choices=("", "resnet50"))
    trunk_weights: str = option("", "file of torchvision's ImageNet weights of the trunk; empty for random weights")


CONFIGS: dict[str, type[TrainConfig]] = {
    "joints": JointConfig,
    "keypoints": KeypointConfig,
    "mesh_autoencoder": AutoencoderConfig,
    "mesh_latent": LatentConfig,
    "graph_diffusion": GraphConfig,
    "graph_diffusion_only_attention": GraphConfig,
}


def config_of(values: dict[str, Any]) -> TrainConfig:
    """Returns the configuration of the task `values["task"]`.

    Settings that only other tasks have are ignored. Older checkpoints and the commands in older MANIFESTs contain them.

    Raises:
        ValueError: if there is no such task, if no task has such a setting, or if a value is not allowed.
    """
    if values["task"] not in CONFIGS:
        raise ValueError(f"no task '{values['task']}'; the tasks are {', '.join(CONFIGS)}")
    config = CONFIGS[values["task"]]
    if unknown := sorted(values.keys() - {item.name for each in CONFIGS.values() for item in fields(each)}):
        raise ValueError(f"no task has a setting {', '.join(unknown)}")
    own = {item.name for item in fields(config)}
    return config(**{name: value for name, value in values.items() if name in own})
