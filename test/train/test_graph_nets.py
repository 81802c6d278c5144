"""Nets, masks and training of the graph diffusion: shapes, what has influence and what has not, and that they can learn."""

import dataclasses

import numpy as np
import pytest
import torch
from stored_hands import write_shard

from hand_mesh_ros.core.graph.condition import SIGHT_SIZE
from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand.components import UNIT_M, HandComponents
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS, WRIST
from models_train import train_loop
from models_train.data import graph_samples
from models_train.data.graph_samples import StoredHands
from models_train.data.masks import MaskRates, draw_masks
from models_train.nets.attention import Attention
from models_train.nets.condition_tokens import TokenSize
from models_train.nets.graph_diffusion import MOST_KEYS, FixedMatrix, GraphNet, GraphSize, Level, pool_of
from models_train.tasks import graph as graph_task
from models_train.tasks.task import TrainConfig

TOKENS = TokenSize(width=16, dropout=0.0, map_shape=(6, 3, 2), blocks=1)
TINY = GraphSize(channels=(4, 8, 8, 8), time_width=16, tokens=TOKENS)
CONFIG = TrainConfig(task="graph_diffusion", steps=1, batch_size=4, learning_rate=5e-3)
N_PATCHES = 6


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HandModel.load(default_models_dir() / FILE_NAME)


@pytest.fixture(scope="module")
def components(hand) -> HandComponents:
    return HandComponents.load(default_models_dir() / hand_components.FILE_NAME, hand)


@pytest.fixture
def task(hand) -> graph_task.GraphTask:
    torch.manual_seed(0)
    return graph_task.GraphTask(CONFIG, hand, TINY)


def condition_of(n: int, given: float = 1.0) -> dict[str, torch.Tensor]:
    """Random values, all of them given or withheld."""
    return {
        "joints_m": 0.1 * torch.randn(n, N_JOINTS, 3),
        "joints_given": torch.full((n, N_JOINTS), given),
        "sight": torch.randn(n, N_JOINTS, SIGHT_SIZE),
        "sight_given": torch.full((n, N_JOINTS), given),
        "image": torch.randn(n, *TOKENS.map_shape),
        "patches_given": torch.full((n, N_PATCHES), given),
    }


def test_attention_is_the_softmax_of_scaled_products():
    attention = Attention(64, 16)
    queries, context = torch.randn(5, 2, 64), torch.randn(7, 2, 16)
    query = attention.query(queries)
    key, value = attention.key_value(context).chunk(2, -1)
    expected = torch.empty_like(queries)
    for head in (slice(0, 32), slice(32, 64)):
        weights = torch.einsum("qbc,kbc->bqk", query[..., head], key[..., head]).div(32**0.5).softmax(-1)
        expected[..., head] = torch.einsum("bqk,kbc->qbc", weights, value[..., head])
    torch.testing.assert_close(attention(queries, context), attention.merge(expected), atol=1e-5, rtol=1e-4)


def test_sparse_and_dense_products_are_the_same_and_so_are_their_gradients(hand):
    operator = FixedMatrix(torch.from_numpy(hand.laplacian[1]))
    signals = [torch.randn(hand.laplacian[1].shape[1], 6, requires_grad=True)]
    signals.append(signals[0].detach().clone().requires_grad_())
    products = [operator @ signals[0], operator.dense @ signals[1]]
    torch.testing.assert_close(*products, atol=1e-5, rtol=1e-5)
    for product in products:
        product.square().sum().backward()
    torch.testing.assert_close(signals[0].grad, signals[1].grad, atol=1e-4, rtol=1e-4)


def test_keys_come_from_a_level_of_few_vertices(hand):
    down = [torch.from_numpy(matrix) for matrix in hand.down]
    sizes = [len(matrix) for matrix in hand.laplacian]
    for level, size in enumerate(sizes):
        pool = pool_of(down, level)
        assert (pool is None) == (size <= MOST_KEYS)
        if pool is not None:
            assert pool.shape[1] == size
            assert len(pool) <= MOST_KEYS
            torch.testing.assert_close(pool.sum(1), torch.ones(len(pool)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("only_self_attention", [False, True])
def test_shapes(hand, components, only_self_attention):
    net = GraphNet(hand, components, dataclasses.replace(TINY, only_self_attention=only_self_attention))
    tokens = net.condition(**condition_of(3))
    assert tokens.shape == (3, 2 * N_JOINTS + N_PATCHES + 1, TOKENS.width)
    noisy = torch.randn(3, *hand.template_m.shape)
    assert net.denoiser(noisy, torch.tensor([1.0, 500.0, 1000.0]), tokens).shape == noisy.shape
    convolutions = sum("local.scaled" in name for name, _ in net.named_buffers())
    assert (convolutions == 0) == only_self_attention


@pytest.mark.parametrize(
    ("values", "given"), [("joints_m", "joints_given"), ("sight", "sight_given"), ("image", "patches_given")]
)
def test_what_is_withheld_has_no_influence_and_what_is_given_has(task, values, given):
    tokens = task.net.eval().condition
    condition = condition_of(2)
    other = {**condition, values: condition[values] + 1}
    assert not torch.allclose(tokens(**condition), tokens(**other))
    withheld = {given: torch.zeros_like(condition[given])}
    assert torch.equal(tokens(**{**condition, **withheld}), tokens(**{**other, **withheld}))


def test_a_withheld_joint_changes_no_token_but_its_own(task):
    tokens, joints = task.net.eval().condition.skeleton, torch.randn(1, N_JOINTS, 3)
    given = torch.ones(1, N_JOINTS)
    withheld = given.clone()
    withheld[:, 7] = 0
    changed = (tokens(joints, given) != tokens(joints, withheld)).any(-1)[:, 0]
    assert changed.nonzero().flatten().tolist() == [7]


def test_a_hand_does_not_depend_on_the_others_of_its_batch(task, hand):
    net = task.net.eval()
    condition, noisy, time = condition_of(3), torch.randn(3, *hand.template_m.shape), torch.tensor([900.0, 500.0, 20.0])
    together = net.denoiser(noisy, time, net.condition(**condition))
    alone = net.denoiser(noisy[1:2], time[1:2], net.condition(**{name: value[1:2] for name, value in condition.items()}))
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)


def test_a_trunk_turns_images_into_feature_maps(hand, components):
    trunk = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3, stride=8), torch.nn.AdaptiveAvgPool2d((3, 2)))
    size = dataclasses.replace(TINY, tokens=dataclasses.replace(TOKENS, image_shape=(3, 32, 24)))
    net = GraphNet(hand, components, size, trunk)
    image = torch.randn(2, 3, 32, 24)
    tokens = net.condition(**{**condition_of(2), "image": image})
    # Not their sum, which a layer norm keeps constant.
    (tokens * torch.randn_like(tokens)).sum().backward()
    assert trunk[0].weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="together with a trunk"):
        GraphNet(hand, components, size)


def test_joint_tokens_reach_the_vertices_of_their_bones(hand):
    """With the identity for weights, a vertex of the palm gets the wrist's values, one of a fingertip those of its bone."""
    skin = torch.from_numpy(hand.skin_weights)
    anchors = Level(torch.from_numpy(hand.laplacian[0]), None, skin).anchors.dense
    tip = FINGER_JOINTS[1, -1]
    at_tip, in_palm = skin[:, tip].argmax(), skin[:, WRIST].argmax()
    assert anchors[at_tip, tip] == pytest.approx(skin[at_tip, tip].item(), abs=1e-3)
    assert anchors[at_tip, N_JOINTS + tip - 1] >= anchors[at_tip, tip]
    assert anchors[in_palm, WRIST] > 0.9
    torch.testing.assert_close(anchors.sum(1), torch.full((len(skin),), 2.0), atol=1e-2, rtol=0)


def test_masks_come_at_their_rates_and_never_split_a_finger():
    rates = MaskRates(skeleton=0.3, sight=0.2, image=0.1, all=0.1, finger=0.15, patch=0.25)
    masks = draw_masks(np.random.default_rng(0), 20_000, N_PATCHES, rates)
    fingers = masks.joints[:, FINGER_JOINTS]
    assert np.all(fingers == fingers[..., :1])
    assert masks.joints[:, WRIST].mean() == pytest.approx(0.9 * 0.7, abs=0.015)
    assert masks.sight[:, WRIST].mean() == pytest.approx(0.9 * 0.8, abs=0.015)
    assert fingers.mean() == pytest.approx(0.9 * 0.7 * 0.85, abs=0.015)
    assert masks.patches.mean() == pytest.approx(0.9 * 0.9 * 0.75, abs=0.015)
    nothing = ~(masks.joints.any(1) | masks.sight.any(1) | masks.patches.any(1))
    assert nothing.mean() == pytest.approx(0.1 + 0.9 * 0.3 * 0.2 * 0.1, abs=0.015)


def test_without_rates_everything_is_given():
    masks = draw_masks(np.random.default_rng(0), 50, N_PATCHES, MaskRates(0, 0, 0, 0, 0, 0))
    assert all(np.all(mask == 1) for mask in vars(masks).values())


@pytest.fixture
def stored(tmp_path) -> StoredHands:
    """Two small shards of hands with the features of a made-up image."""
    for seed in range(2):
        arrays = write_shard(tmp_path, "train", 5, seed)
        arrays["features"] = np.full((5, *TOKENS.map_shape), seed, np.float16)
        np.savez(tmp_path / f"train_{seed}_0000.npz", **arrays)
    return StoredHands(tmp_path, "train")


def test_half_of_the_hands_come_from_shards_that_take_turns(hand, stored):
    task = graph_task.GraphTask(CONFIG, hand, TINY, stored=stored, rates=MaskRates(0, 0, 0, 0, 0, 0))
    batches = [task.train_batch(step) for step in (0, 0, graph_samples.STEPS_PER_SHARD)]
    assert all(torch.equal(batches[0][name], batches[1][name]) for name in batches[0])
    assert batches[0]["patches_given"].mean(1).tolist() == [0, 0, 1, 1]
    assert [batch["image"][2:].mean().item() for batch in batches] == [0, 0, 1]


def test_natural_hands_show_the_palm_or_the_back(hand):
    def share_shown(natural_share: float) -> float:
        samples = graph_samples.sample_kinematic(np.random.default_rng(1), 400, hand, natural_share=natural_share)
        # The first axis of the palm frame is the normal of the palm.
        return float((np.abs(samples.palm_from_camera[:, 0, 2]) > np.cos(np.deg2rad(50))).mean())

    assert share_shown(0.0) < 0.5  # of random rotations 36 % are nearer than 50 degrees
    assert share_shown(0.6) > 0.65


def test_a_folder_without_shards_is_named(tmp_path):
    with pytest.raises(ValueError, match="held_out"):
        StoredHands(tmp_path, "held_out")


def test_meshes_lie_in_the_palm_frame_and_skeletons_near_them(task, hand):
    batch = task.train_batch(0)
    joints_m = torch.from_numpy(hand.joint_regressor) @ batch["vertices_m"]
    rest = torch.from_numpy(hand.joints_m)
    assert (joints_m[:, WRIST] - rest[WRIST]).norm(dim=-1).max() < 0.02
    assert (joints_m - batch["joints_m"]).norm(dim=-1).mean() < 0.02


def test_one_batch_can_be_learned_by_heart(task):
    batch = task.train_batch(0)
    optimizer = train_loop.make_optimizer(task.net, task.config)
    for _ in range(250):
        loss, _ = task.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # Of much noise the linear guess makes nearly the mean hand.
    clean = (batch.pop("vertices_m") - task._template_m) / UNIT_M
    noisy, time = torch.randn_like(clean), torch.full((len(clean),), 990.0)
    with torch.no_grad():
        guess, linear = task.net.denoiser(noisy, time, task.net.condition(**batch)), task.net.denoiser.linear(noisy, time)
    errors = [(each - clean).norm(dim=-1).mean().item() for each in (guess, linear)]
    assert errors[0] < 0.7 * errors[1], errors


def test_validation_measures_every_case(task, monkeypatch):
    monkeypatch.setattr(graph_task, "_N_VALIDATION", 4)
    figures = task.validate(task.net.eval())
    assert set(figures) == {"score", "all_mm", "skeleton_mm", "keypoints_mm", "diversity"}
    assert all(np.isfinite(value) for value in figures.values())


def test_pairwise_distance_of_known_meshes():
    meshes = torch.zeros(3, 4, 3)
    meshes[1, :, 0], meshes[2, :, 0] = 0.001, 0.002
    assert graph_task.pairwise_distance_mm(meshes) == pytest.approx((1 + 2 + 1) / 3)
    assert UNIT_M == 0.1
