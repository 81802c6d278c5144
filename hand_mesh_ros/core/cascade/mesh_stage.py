"""Computes meshes from skeletons: latent diffusion conditioned on the skeleton, then the mesh decoder.

Denoiser and decoder work in the palm frame. In the palm frame, the wrist and the finger bases are aligned with the rest pose. So
a rotation of the skeleton gives exactly the same rotation of the mesh.
"""

from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.aggregate import MainMode
from hand_mesh_ros.core.config import MeshConfig
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.noise import SCHEDULE
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.models.sampler import ddim
from hand_mesh_ros.core.topology import N_JOINTS, PALM_JOINTS, joint_order_digest
from hand_mesh_ros.core.types import Hypotheses, ViewEmbedding, require_shape

DENOISER_FILE, DECODER_FILE = "mesh_denoiser.onnx", "mesh_decoder.onnx"
VIEW_ROTATION_SIZE = 6


def palm_from_hand(joints_m: np.ndarray, hand: HandModel) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (..., 3, 3) and translation (..., 3) that align the palm of skeletons (..., 21, 3) with the rest pose."""
    rotation, translation, _ = rigid.align(joints_m[..., PALM_JOINTS, :], hand.joints_m[PALM_JOINTS])
    return rotation, translation


def view_of(embedding: np.ndarray, palm_from_virtual: np.ndarray) -> np.ndarray:
    """View input of the mesh stage, (..., W + 6) float32: the embedding of the view and the rotation of the palm in the view.

    Args:
        embedding: (..., W) from the encoder of the joint stage.
        palm_from_virtual: (..., 3, 3) rotation from the virtual camera of the view; the first two rows define the rotation.
    """
    rows = palm_from_virtual[..., :2, :].reshape(*palm_from_virtual.shape[:-2], VIEW_ROTATION_SIZE)
    return np.concatenate([np.broadcast_to(embedding, (*rows.shape[:-1], embedding.shape[-1])), rows], -1).astype(np.float32)


class MeshDecoder:
    """Meshes of right hands from their skeletons."""

    def __init__(self, models_dir: Path, config: MeshConfig, view_space: str) -> None:
        """Loads the hand model, the denoiser and the decoder.

        Args:
            models_dir: folder of the model files.
            config: settings of the pipeline.
            view_space: view space of the encoder, from the metadata of the encoder.

        Raises:
            ModelError: if a file is missing, damaged, or does not fit the other files.
        """
        self._hand = HandModel.load(models_dir / hand_model.FILE_NAME)
        self.reconfigure(config)
        common = {"joint_order": joint_order_digest(), "topology": self._hand.digest}
        self._decoder = OnnxModel.fastest(
            models_dir / DECODER_FILE, {"kind": "mesh_decoder", **common}, config.device, config.threads
        )
        expected = {"kind": "mesh_denoiser", "schedule": SCHEDULE, "latent_space": self._decoder.fact("latent_space"), **common}
        expected["view_space"] = view_space
        self._denoiser = OnnxModel.fastest(models_dir / DENOISER_FILE, expected, config.device, config.threads)
        self.latent_size = int(self._decoder.fact("latent_size"))
        self._view_size = int(self._denoiser.input_shape("view")[1])

    def reconfigure(self, config: MeshConfig) -> None:
        """Uses another number of steps from now on."""
        self._steps, self._seed, self._noise = config.mesh_steps, config.seed, np.zeros((0, 0))

    @property
    def models(self) -> tuple[OnnxModel, ...]:
        """The loaded model files."""
        return self._decoder, self._denoiser

    def __call__(self, joints_m: np.ndarray, view: ViewEmbedding | None = None, noise: np.ndarray | None = None) -> np.ndarray:
        """A mesh for each skeleton: vertices (K, V, 3) float32 metres in the frame of the skeletons. Arguments: see `latents`."""
        return self.decode(self.latents(joints_m, view, noise), joints_m)

    def latents(self, joints_m: np.ndarray, view: ViewEmbedding | None = None, noise: np.ndarray | None = None) -> np.ndarray:
        """Sampled latents (K, latent_size) of the meshes of skeletons.

        Args:
            joints_m: (K, 21, 3) of right hands of average adult size, K at least 1.
            view: the view from which the skeletons were sampled; None to use only the skeletons.
            noise: (K, latent_size) standard normal start of the latents; None for the noise of the configured seed.

        Raises:
            ValueError: if an array has the wrong shape or a joint is not finite.
        """
        require_shape("joints_m", joints_m, (None, N_JOINTS, 3))
        if not len(joints_m) or not np.all(np.isfinite(joints_m)):
            raise ValueError(f"joints_m has {len(joints_m)} skeletons: needs at least 1 skeleton and only finite numbers")
        if noise is None:
            noise = self._noise_of(len(joints_m))
        require_shape("noise", noise, (len(joints_m), self.latent_size))
        rotation, translation = palm_from_hand(joints_m, self._hand)
        given = np.ones((len(joints_m), 2), np.float32)
        if view is None:
            given[:, 1], seen = 0, np.zeros((len(joints_m), self._view_size), np.float32)
        else:
            seen = view_of(view.embedding, rotation @ view.virtual_from_camera.T)
        in_palm = rigid.transform(joints_m, rotation, translation).astype(np.float32)
        return self._sample({"joints_m": in_palm, "view": seen, "given": given}, noise.astype(np.float32))

    def decode(self, latents: np.ndarray, joints_m: np.ndarray) -> np.ndarray:
        """Meshes (K, V, 3) float32 of latents (K, latent_size), each rigidly aligned with its skeleton (K, 21, 3)."""
        vertices_m = self._decoder(latent=latents.astype(np.float32, copy=False))["vertices_m"]
        # All joints give a more accurate alignment than the palm.
        rotation, translation, _ = rigid.align(self._hand.joint_regressor @ vertices_m, joints_m)
        return rigid.transform(vertices_m, rotation, translation).astype(np.float32)

    def mean_mesh(self, hypotheses: Hypotheses, main: MainMode) -> np.ndarray:
        """Mesh (V, 3) of the mean skeleton of the main mode.

        The mean of the latents gives the mean of the meshes within 0.1 mm, and only one mesh is decoded.
        """
        latents = self.latents(hypotheses.joints_m, hypotheses.view)
        return self.decode((main.share @ latents)[None], main.joints_m[None])[0]

    def _noise_of(self, count: int) -> np.ndarray:
        if len(self._noise) != count:
            self._noise = np.random.default_rng(self._seed).standard_normal((count, self.latent_size))
        return self._noise

    def _sample(self, condition: dict[str, np.ndarray], noise: np.ndarray) -> np.ndarray:
        def denoise(noisy_latent: np.ndarray, time: float) -> np.ndarray:
            times = np.full(len(noisy_latent), time, np.float32)
            return self._denoiser(noisy_latent=noisy_latent, time=times, **condition)["latent"]

        return ddim(denoise, noise, self._steps)
