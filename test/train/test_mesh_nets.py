"""Nets and losses of the mesh stage: operators against closed forms, shapes, and that they can learn."""

import dataclasses

import numpy as np
import pytest
import torch
from stored_hands import stage_one_pairs

from hand_mesh_ros.core.cascade.mesh_stage import VIEW_ROTATION_SIZE
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from models_train import losses, train_loop
from models_train.nets.graph import ChebyshevConv, Resample
from models_train.nets.mesh_autoencoder import AutoencoderSize, MeshAutoencoder, UnitVariance
from models_train.tasks import mesh as mesh_tasks
from models_train.tasks.skeleton_pairs import NoisyTruthPairs
from models_train.tasks.task import TrainConfig

TINY = AutoencoderSize(latent=16, channels=(4, 8, 8, 8), hidden=32)


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HandModel.load(default_models_dir() / FILE_NAME)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> NoisyTruthPairs:
    return NoisyTruthPairs(stage_one_pairs(tmp_path_factory.mktemp("pairs")))


@pytest.fixture
def autoencoder(hand, monkeypatch) -> mesh_tasks.AutoencoderTask:
    torch.manual_seed(0)
    monkeypatch.setattr(mesh_tasks, "_N_START", 100)  # principal components of few hands take little time
    config = TrainConfig(task="mesh_autoencoder", steps=1, batch_size=4, learning_rate=5e-3)
    return mesh_tasks.AutoencoderTask(config, hand, TINY)


@pytest.fixture
def latent(hand, autoencoder, pairs) -> mesh_tasks.LatentTask:
    config = TrainConfig(task="mesh_latent", steps=1, batch_size=4, learning_rate=2e-3)
    return mesh_tasks.LatentTask(config, hand, autoencoder.net.eval().requires_grad_(False), pairs)


def chebyshev_of(eigenvalues: torch.Tensor, order: int) -> torch.Tensor:
    """T_0 .. T_{order - 1}, (order, V), by their definition as cosines of multiples."""
    return torch.stack([torch.cos(k * torch.arccos(eigenvalues.clamp(-1, 1))) for k in range(order)])


@pytest.mark.parametrize(("n_in", "n_out"), [(2, 5), (5, 2)])
@pytest.mark.parametrize("order", [2, 3, 5])
def test_graph_convolution_filters_the_spectrum_by_chebyshev_polynomials(hand, n_in, n_out, order):
    laplacian = torch.from_numpy(hand.laplacian[-1]).double()
    convolution = ChebyshevConv(laplacian, n_in, n_out, order).double()
    convolution.scaled = laplacian - torch.eye(len(laplacian), dtype=torch.float64)
    signal = torch.randn(len(laplacian), 3, n_in, dtype=torch.float64)
    eigenvalues, basis = torch.linalg.eigh(convolution.scaled)
    responses = chebyshev_of(eigenvalues, order)
    expected = sum(
        torch.einsum("vw,wbi,io->vbo", basis * response @ basis.T, signal, weight)
        for response, weight in zip(responses, convolution.weight)
    )
    torch.testing.assert_close(convolution(signal), expected, atol=1e-9, rtol=1e-6)


def test_a_graph_convolution_without_neighbours_is_refused(hand):
    with pytest.raises(ValueError, match="at least 2"):
        ChebyshevConv(torch.from_numpy(hand.laplacian[-1]), 3, 3, 1)


def test_resampling_keeps_a_constant_signal(hand):
    for matrix in (*hand.down, *hand.up):
        carried = Resample(torch.from_numpy(matrix))(torch.ones(matrix.shape[1], 2, 3))
        torch.testing.assert_close(carried, torch.ones(matrix.shape[0], 2, 3), atol=1e-5, rtol=0)


def test_shapes(hand, autoencoder, latent):
    vertices_m = autoencoder.train_batch(0)["vertices_m"]
    assert vertices_m.shape == (4, len(hand.template_m), 3)
    assert autoencoder.net.encoder(vertices_m).shape == (4, TINY.latent)
    assert autoencoder.net(vertices_m).shape == vertices_m.shape
    batch = latent.train_batch(0)
    guess = latent.net(torch.randn(4, TINY.latent), torch.full((4,), 500.0), batch["joints_m"], batch["view"], batch["given"])
    assert guess.shape == (4, TINY.latent)


def test_an_autoencoder_starts_as_its_principal_components(hand, autoencoder):
    vertices_m = autoencoder.train_batch(0)["vertices_m"]
    net = autoencoder.net.eval()
    latents = net.encoder(vertices_m)
    # A projection: what the components can tell is told again exactly.
    torch.testing.assert_close(net.encoder(net.decoder(latents)), latents, atol=1e-3, rtol=0)
    error = (net(vertices_m) - vertices_m).norm(dim=-1).mean()
    assert error < 0.5 * (torch.from_numpy(hand.template_m) - vertices_m).norm(dim=-1).mean()


def test_latents_get_unit_variance_in_training_and_are_alike_in_any_batch():
    norm = UnitVariance(3, momentum=0.02)
    raw = 2 + torch.tensor([0.5, 1.0, 4.0]) * torch.randn(400, 16, 3)
    for batch in raw:
        norm(batch)
    norm.eval()
    latents = norm(raw.flatten(0, 1))
    torch.testing.assert_close(latents.std(0), torch.ones(3), atol=0.1, rtol=0)
    torch.testing.assert_close(latents.mean(0), torch.zeros(3), atol=0.2, rtol=0)
    torch.testing.assert_close(norm(raw[0, :1]), latents[:1])


def test_batches_depend_on_seed_and_step_alone(autoencoder):
    first, again, other = (autoencoder.train_batch(step)["vertices_m"] for step in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("withheld", ["skeleton", "view"])
def test_a_withheld_cue_does_not_matter(latent, pairs, withheld):
    for block in latent.net.blocks:
        torch.nn.init.normal_(block.modulation.weight, std=0.1)
    noisy, time = torch.randn(2, TINY.latent), torch.full((2,), 700.0)
    skeletons = torch.randn(2, 2, 21, 3)
    views = torch.randn(2, 2, pairs.embedding_size + VIEW_ROTATION_SIZE)
    (skeletons if withheld == "view" else views)[1] = (skeletons if withheld == "view" else views)[0]
    given = torch.tensor([[float(withheld != "skeleton"), float(withheld != "view")]]).expand(2, 2)
    guesses = [latent.net(noisy, time, skeleton, view, given) for skeleton, view in zip(skeletons, views)]
    assert torch.equal(*guesses)
    told = [latent.net(noisy, time, skeleton, view, torch.ones(2, 2)) for skeleton, view in zip(skeletons, views)]
    assert not torch.allclose(*told)


@pytest.mark.parametrize(("name", "share"), [("autoencoder", 0.8), ("latent", 0.6)])
def test_one_batch_can_be_learned_by_heart(name, share, request):
    task = request.getfixturevalue(name)
    batch = task.train_batch(0)
    optimizer = train_loop.make_optimizer(task.net.train(), task.config)
    errors = []
    for _ in range(60):
        loss, figures = task.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(figures["vertex_mm"] if name == "autoencoder" else figures["latent"])
    assert np.mean(errors[-10:]) < share * np.mean(errors[:3])


def test_an_autoencoder_of_other_depth_is_refused(hand):
    with pytest.raises(ValueError, match="levels"):
        MeshAutoencoder(hand, dataclasses.replace(TINY, channels=(4, 8)))


def test_losses_vanish_on_the_truth_and_know_simple_errors(hand):
    faces = torch.from_numpy(hand.faces).long()
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    true_m = torch.from_numpy(hand.template_m).double()[None]
    for value in (
        losses.position(true_m, true_m),
        losses.edge_length(true_m, true_m, edges),
        losses.normal(true_m, true_m, faces),
    ):
        assert value.item() == pytest.approx(0, abs=1e-6)
    moved = true_m + torch.tensor([0.003, 0.0, 0.0])
    assert losses.position(moved, true_m).item() == pytest.approx(0.1)
    assert losses.mean_distance_mm(moved, true_m) == pytest.approx(3)
    assert losses.edge_length(moved, true_m, edges).item() == pytest.approx(0, abs=1e-6)
    sides = (true_m[:, edges[:, 0]] - true_m[:, edges[:, 1]]).norm(dim=-1)
    assert losses.edge_length(1.1 * true_m, true_m, edges).item() == pytest.approx(10 * sides.mean().item())
    assert losses.normal(1.1 * true_m, true_m, faces).item() == pytest.approx(0, abs=1e-6)


def test_normal_loss_of_a_tilted_triangle():
    true_m = torch.tensor([[[0.0, 0, 0], [0.01, 0, 0], [0, 0.01, 0]]])
    tilted_m = torch.tensor([[[0.0, 0, 0], [0.01, 0, 0.003], [0, 0.01, 0]]])
    # Two of the three edges rise by 3 mm along the true normal.
    assert losses.normal(tilted_m, true_m, torch.tensor([[0, 1, 2]])).item() == pytest.approx(0.2)
