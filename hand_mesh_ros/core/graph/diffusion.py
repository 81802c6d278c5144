"""Graph diffusion at run time: generates, completes, reconstructs and fits meshes of right hands of average adult size.

One model represents the distribution of hands for a complete, partial or empty condition. The caller mirrors left hands before
and after (`core.geometry.mirror`).
"""

from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
from hand_mesh_ros.core.config import ModelConfig
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.rays import KEYPOINT_NOISE, ray_extent
from hand_mesh_ros.core.graph import guidance
from hand_mesh_ros.core.graph.condition import GraphCondition
from hand_mesh_ros.core.graph.directions import HandDirections
from hand_mesh_ros.core.graph.guidance import ProjectionTarget, Target
from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.components import UNIT_M, HandComponents
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models import noise as schedule
from hand_mesh_ros.core.models.noise import SCHEDULE
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.models.sampler import Report, multistep, reported
from hand_mesh_ros.core.topology import N_JOINTS, joint_order_digest
from hand_mesh_ros.core.types import require_shape

CONDITION_FILE, DENOISER_FILE = "graph_condition.onnx", "graph_denoiser.onnx"


@dataclass(frozen=True)
class Fit:
    """Meshes after a fit to keypoints."""

    vertices_m: np.ndarray  # (n, V, 3) float32 camera frame, of a hand of average size
    residual: np.ndarray  # (n,) weighted root mean square distance of joints and rays in the plane z = 1


class GraphDiffusion:
    """The trained graph diffusion. Every method computes `n` samples at once and returns vertices (n, V, 3) float32 metres."""

    def __init__(self, models_dir: Path, config: ModelConfig) -> None:
        """Loads the hand model, the condition network and the denoiser.

        Raises:
            ModelError: if a file is missing, damaged, or does not fit the other files.
        """
        self.hand = HandModel.load(models_dir / hand_model.FILE_NAME)
        components = HandComponents.load(models_dir / hand_components.FILE_NAME, self.hand)
        self.directions = HandDirections(self.hand, components)
        common = {"joint_order": joint_order_digest(), "topology": self.hand.digest}
        expected = {"kind": "graph_denoiser", "schedule": SCHEDULE, "unit_m": str(UNIT_M), **common}
        self._denoiser = OnnxModel(models_dir / DENOISER_FILE, expected, config.device, config.threads)
        space = {"kind": "graph_condition", "token_space": self._denoiser.fact("token_space"), **common}
        self._condition = OnnxModel(models_dir / CONDITION_FILE, space, config.device, config.threads)
        self._image_shape = tuple(int(length) for length in self._condition.fact("image_shape").split(","))
        self._n_patches = int(self._condition.fact("n_patches"))

    @property
    def models(self) -> tuple[OnnxModel, ...]:
        """The loaded model files."""
        return self._condition, self._denoiser

    def sample(
        self,
        condition: GraphCondition,
        steps: int,
        seed: int,
        targets: tuple[Target, ...] = (),
        start_m: np.ndarray | None = None,
        start_time: float = schedule.TRAINING_STEPS,
        report: Report | None = None,
    ) -> np.ndarray:
        """Samples of meshes in the palm frame for a condition. The other methods use this method.

        Args:
            condition: conditions of the n samples.
            steps: denoising steps.
            seed: seed of the noise.
            targets: the guidance moves the samples towards these targets.
            start_m: (n, V, 3) palm frame: start meshes, used instead of pure noise. Noise is added up to `start_time`.
            start_time: 0..TRAINING_STEPS; with a smaller value the samples stay nearer to `start_m`.
            report: called after every step, in all methods; an exception from `report` ends the sampling.

        Raises:
            ValueError: if an array has the wrong shape, or `steps` or `start_time` is out of range.
        """
        n, tokens, template = len(condition), self._tokens(condition), self.hand.template_m
        drawn = np.random.default_rng(seed).standard_normal((n, *template.shape))
        if start_m is not None:
            require_shape("start_m", start_m, drawn.shape)
            drawn = schedule.mix((start_m - template) / UNIT_M, drawn, float(schedule.alpha_bar(start_time)))

        def denoise(noisy: np.ndarray, time: float) -> np.ndarray:
            times = np.full(n, time, np.float32)
            return self._denoiser(noisy_mesh=noisy.astype(np.float32), time=times, tokens=tokens)["clean_mesh"]

        def improve(clean: np.ndarray, kept: float) -> np.ndarray:
            vertices_m = reduce(lambda mesh, target: target.improve(mesh, kept), targets, template + UNIT_M * clean)
            return (vertices_m - template) / UNIT_M

        guide = reported(guidance.guided(denoise, improve) if targets else denoise, steps, report)
        return (template + UNIT_M * multistep(guide, drawn, steps, start_time)).astype(np.float32)

    def generate(self, n: int, seed: int = 0, steps: int = 50, report: Report | None = None) -> np.ndarray:
        """`n` hands with random poses, palm frame."""
        return self.sample(GraphCondition.nothing(n), steps, seed, report=report)

    def inpaint_mesh(
        self, vertices_m: np.ndarray, given: np.ndarray, n: int, seed: int = 0, steps: int = 50, report: Report | None = None
    ) -> np.ndarray:
        """`n` hands that complete a given part of the surface, palm frame.

        Args:
            vertices_m: (V, 3) palm frame; vertices that are not given may be NaN.
            given: (V,) bool.
            n: number of hands.
            seed: seed of the noise.
            steps: denoising steps.
            report: as in `sample`.

        Raises:
            ValueError: if no vertex is given, or an array has the wrong shape.
        """
        target = guidance.vertex_target(self.hand, vertices_m, given)
        # A joint is also given if all its vertices are given.
        known = np.abs(self.hand.joint_regressor) @ ~np.asarray(given, bool) < 1e-3
        joints_m = self.hand.joint_regressor @ np.where(np.asarray(given, bool)[:, None], vertices_m, 0.0)
        condition = GraphCondition.nothing(n).with_skeleton(joints_m, known)
        return self.sample(condition, steps, seed, (target,), report=report)

    def inpaint_skeleton(
        self, joints_m: np.ndarray, given: np.ndarray, n: int, seed: int = 0, steps: int = 50, report: Report | None = None
    ) -> np.ndarray:
        """`n` hands that complete a given part of the skeleton, palm frame.

        Args:
            joints_m: (21, 3) palm frame, average size; joints that are not given may be NaN.
            given: (21,) bool.
            n: number of hands.
            seed: seed of the noise.
            steps: denoising steps.
            report: as in `sample`.
        """
        target = guidance.joint_target(self.hand, joints_m, np.asarray(given, np.float64), self.directions)
        condition = GraphCondition.nothing(n).with_skeleton(joints_m, given)
        return self.sample(condition, steps, seed, (target,), report=report)

    def reconstruct(
        self,
        skeletons_m: np.ndarray,
        rays: np.ndarray,
        confidence: np.ndarray,
        features: np.ndarray | None = None,
        n: int = 1,
        steps: int = 10,
        seed: int = 0,
        report: Report | None = None,
    ) -> np.ndarray:
        """`n` hypotheses of one detected hand, aligned with the skeletons. Hypothesis i uses skeleton i modulo K.

        Args:
            skeletons_m: (K, 21, 3) hypotheses in camera axes, any origin, average size.
            rays: (21, 2) undistorted x/z, y/z.
            confidence: (21,) in 0..1; a keypoint with confidence 0 is not given.
            features: image features of `HandDetection`, or None.
            n: number of hands.
            steps: denoising steps.
            seed: seed of the noise.
            report: as in `sample`.
        """
        each_m = skeletons_m[np.arange(n) % len(skeletons_m)]
        vertices_m = self.sample(self.condition_of(each_m, rays, confidence, features)[0], steps, seed, report=report)
        rotation, translation, _ = rigid.align(self.hand.joint_regressor @ vertices_m, each_m)
        return rigid.transform(vertices_m, rotation, translation).astype(np.float32)

    def condition_of(
        self, skeletons_m: np.ndarray, rays: np.ndarray, confidence: np.ndarray, features: np.ndarray | None = None
    ) -> tuple[GraphCondition, np.ndarray]:
        """The condition from all inputs of one detected hand.

        Args:
            skeletons_m: (n, 21, 3) hypotheses in camera axes, any origin, average size.
            rays: (21, 2) undistorted x/z, y/z.
            confidence: (21,) in 0..1; a keypoint with confidence 0 is not given.
            features: image features of `HandDetection`, or None.

        Returns:
            the condition of n hands, and the rotations camera_from_palm (n, 3, 3) of the hypotheses.
        """
        require_shape("skeletons_m", skeletons_m, (None, N_JOINTS, 3))
        rotation, translation = palm_from_hand(skeletons_m, self.hand)
        condition = GraphCondition.nothing(len(skeletons_m))
        condition = condition.with_skeleton(rigid.transform(skeletons_m, rotation, translation))
        condition = condition.with_rays(rays, confidence, rotation)
        return (condition if features is None else condition.with_image(features)), np.swapaxes(rotation, -1, -2)

    def fit_2d(
        self,
        condition: GraphCondition,
        camera_from_palm: np.ndarray,
        rays: np.ndarray,
        confidence: np.ndarray,
        steps: int = 5,
        seed: int = 0,
        start_m: np.ndarray | None = None,
        start_time: float = schedule.TRAINING_STEPS,
        prior_std_m: float | None = None,
        report: Report | None = None,
        turn_std_rad: float = np.inf,
        local_std_m: float = 0.0,
    ) -> Fit:
        """Hands with joints on given rays, in the camera frame.

        Args:
            condition: conditions of the n hands, from `condition_of` or with fewer inputs.
            camera_from_palm: (n, 3, 3) first guess of the rotations, from `condition_of`.
            rays: (21, 2) undistorted x/z, y/z.
            confidence: (21,) in 0..1; joints with confidence 0 have no influence.
            steps: denoising steps.
            seed: seed of the noise.
            start_m: (n, V, 3) palm frame, meshes to improve; None to start from noise.
            start_time: noise level of the start meshes, 0..TRAINING_STEPS.
            prior_std_m: standard deviation of the model's predictions; with a smaller value they follow the rays less. None for
                samples from pure noise: the standard deviation is computed from the noise level.
            report: as in `sample`.
            turn_std_rad: standard deviation of `camera_from_palm`; infinite to use `camera_from_palm` only as a start. 0 keeps
                `camera_from_palm` unchanged, for example if another source is more accurate than the rays.
            local_std_m: standard deviation of independent local errors of the skin around each joint.
        """
        ray_std = KEYPOINT_NOISE * ray_extent(rays)
        target = ProjectionTarget(
            self.directions, rays, confidence, ray_std, camera_from_palm, prior_std_m, turn_std_rad, local_std_m
        )
        vertices_m = self.sample(condition, steps, seed, (target,), start_m, start_time, report)
        pose = target.pose(vertices_m)
        residual = np.sqrt(target.value(vertices_m, pose) / np.sum(confidence))
        return Fit(pose.place(vertices_m).astype(np.float32), residual)

    def _tokens(self, condition: GraphCondition) -> np.ndarray:
        n, features = len(condition), condition.features
        given = np.full((n, self._n_patches), float(features is not None), np.float32)
        if features is None:
            features = np.zeros((n, *self._image_shape), np.float32)
        require_shape("features", features, (n, *self._image_shape))
        fields = {name: value for name, value in vars(replace(condition, features=features)).items() if name != "features"}
        return self._condition(**fields, image=features, patches_given=given)["tokens"]
