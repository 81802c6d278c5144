"""Small shards of views with modelled detector errors, a joint stage that was never trained, and pairs made with both."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from models_train.checkpoint import BEST, Checkpoint
from models_train.data import views
from models_train.hands.sample import sample_hands
from models_train.nets.joint_denoiser import JointNet, JointSize
from models_train.tasks.skeleton_pairs import StageOnePairs


def write_shard(folder: Path, kind: str, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Writes `n` views as `models_train.data.detected` does, and returns its arrays."""
    rng = np.random.default_rng(seed)
    hands = sample_hands(rng, n)
    placed = views.place(rng, np.concatenate([hands.joints_m, hands.vertices_m], axis=1))
    joints_m, vertices_m = placed[:, :21], placed[:, 21:]
    cues = views.observe(rng, joints_m)
    arrays = {
        "rays": cues.rays.astype(np.float32),
        "depth": cues.depth.astype(np.float32),
        "confidence": cues.confidence.astype(np.float32),
        "world_m": cues.world_m.astype(np.float32),
        "in_crop": in_random_crops(rng, cues.rays).astype(np.float32),
        "features": rng.normal(size=(n, 192, 7, 7)).astype(np.float16),
        "pooled_features": np.abs(rng.normal(size=(n, 1152))).astype(np.float16),
        "joints_m": joints_m.astype(np.float32),
        "vertices_m": (vertices_m - joints_m[:, :1]).astype(np.float16),
    }
    np.savez(folder / f"{kind}_{seed}_0000.npz", **arrays)
    return arrays


def in_random_crops(rng: np.random.Generator, rays: np.ndarray) -> np.ndarray:
    """Places (n, 21, 2) in an upright square around each hand, turned any way."""
    angle = rng.uniform(-np.pi, np.pi, len(rays))
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.stack([cosine, -sine, sine, cosine], -1).reshape(-1, 2, 2)
    centred = rays - rays.mean(1, keepdims=True)
    return centred @ turn / (1.5 * np.abs(centred).max((1, 2), keepdims=True)) + rng.normal(0, 0.05, (len(rays), 1, 2))


def write_joint_stage(run: Path) -> JointNet:
    """Saves an untrained joint stage as a training would, and returns it in evaluation mode."""
    torch.manual_seed(0)
    net = JointNet(JointSize()).eval()
    weights = net.state_dict()
    state = torch.get_rng_state()
    Checkpoint({}, {"size": asdict(net.size)}, "unknown", 0, 0.0, 0.0, {}, weights, weights, {}, state).save(run / BEST)
    return net


def stage_one_pairs(folder: Path, natural_share: float = 0.6) -> StageOnePairs:
    """Pairs made with an untrained joint stage, which is written to `folder`."""
    write_joint_stage(folder / "joints")
    return StageOnePairs(folder / "joints", natural_share)
