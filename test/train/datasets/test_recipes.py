"""The recipes of the papers train 20 steps on tiny data sets, with pictures through a ResNet-50 where the paper has one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_datasets import write_ho3d, write_interhand

from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from models_train import train, train_loop
from models_train.checkpoint import LAST, Checkpoint
from models_train.data.real_pictures import RealPictures
from models_train.datasets import views as dataset_views
from models_train.datasets.formats.sources import NON_COMMERCIAL
from models_train.nets.resnet import IMAGE_SHAPE, MAP_SHAPE, ResNet50
from models_train.tasks import graph as graph_task
from models_train.tasks.configs import GraphConfig, config_of

RECIPES = Path(train.__file__).parent / "recipes"
# Settings that only make a training small.
SMALL = ["--steps", "20", "--validate-every", "20", "--device", "cpu", "--batch-size", "2"]


@pytest.fixture(scope="module")
def pictures(rendered, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    root = write_ho3d(folder / "set", "jpg", rendered, rendered[:1])
    options = ["--dataset", "ho3d_v3", "--root", str(root), "--out", str(folder / "out"), "--pictures"]
    assert dataset_views.main(options) == 0
    return folder / "out"


def trained(run: Path, recipe: str, *options: str) -> Checkpoint:
    task = json.loads((RECIPES / f"{recipe}.json").read_text())["task"]
    train.main([task, "--recipe", str(RECIPES / f"{recipe}.json"), "--run", str(run / recipe), *SMALL, *options])
    checkpoint = Checkpoint.load(run / recipe / LAST)
    assert checkpoint.step == 20
    (line,) = (run / recipe / train_loop.LOG).read_text().splitlines()
    assert all(np.isfinite(value) for value in json.loads(line)["validation"].values())
    return checkpoint


def test_the_graph_diffusion_trains_on_pictures_through_a_resnet(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(graph_task, "_N_VALIDATION", 3)
    checkpoint = trained(tmp_path, "hhmr", "--real-views", str(pictures))
    assert checkpoint.facts["licence"] == NON_COMMERCIAL
    assert checkpoint.facts["size"]["tokens"]["image_shape"] == IMAGE_SHAPE
    config = config_of({**checkpoint.config, "steps": 1, "minutes": 0.0})
    first = train.make_task(config).net.state_dict()
    moved = [name for name, value in checkpoint.net.items() if "trunk.layer4" in name and not torch.equal(value, first[name])]
    assert any(name.endswith("bn3.weight") for name in moved)


def test_the_cascade_trains_on_a_data_set_and_passes_its_mark_on(pictures, tmp_path):
    joints = trained(tmp_path, "cascaded_joints", "--real-views", str(pictures), "--width", "32")
    assert joints.facts["licence"] == NON_COMMERCIAL
    train.main(["mesh_autoencoder", "--run", str(tmp_path / "autoencoder"), *SMALL])
    runs = ["--source", str(tmp_path / "autoencoder"), "--joints", str(tmp_path / "cascaded_joints")]
    assert trained(tmp_path, "cascaded_mesh", *runs).facts["licence"] == NON_COMMERCIAL


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.json")))
def test_recipes_are_settings_of_their_tasks_with_the_budget_of_the_paper(name):
    config = config_of(json.loads((RECIPES / f"{name}.json").read_text()))
    assert (config.batch_size, config.steps) == (64, 1_000_000)


def test_a_recipe_of_another_task_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="not a recipe of the task joints"):
        train.main(["joints", "--recipe", str(RECIPES / "hhmr.json"), "--run", str(tmp_path)])


def test_pictures_are_upright_right_hands_with_a_surface_around_the_skeleton(pictures):
    shard = np.load(pictures / "ho3d_v3_0000.npz")
    hand = HandModel.load(default_models_dir() / FILE_NAME)
    assert shard["picture"].shape == (5, 224, 224, 3)
    surface_joints = hand.joint_regressor @ shard["vertices_m"].astype(np.float64)
    relative = shard["joints_m"] - shard["joints_m"][:, :1]
    assert np.linalg.norm(surface_joints - relative, axis=-1).mean() < 0.012


def test_the_picture_of_a_left_hand_is_that_of_the_mirrored_right_hand(rendered, tmp_path):
    seen = {}
    for name, shown in (("left", [rendered[0]]), ("right", [rendered[1], rendered[0]])):
        write_interhand(tmp_path / name, "train", shown)
        options = [
            "--dataset",
            "interhand",
            "--root",
            str(tmp_path / name),
            "--out",
            str(tmp_path / f"{name}_views"),
            "--pictures",
        ]
        assert dataset_views.main(options) == 0
        seen[name] = np.load(tmp_path / f"{name}_views/interhand_0000.npz")
    # The last picture of the second set shows the hand as it is; the first set shows its mirror image.
    left, right = seen["left"]["picture"][0].astype(float), seen["right"]["picture"][1].astype(float)
    assert np.corrcoef(left.ravel(), right.ravel())[0, 1] > 0.9
    assert np.corrcoef(left[:, ::-1].ravel(), right.ravel())[0, 1] < 0.9


def test_training_and_validation_use_different_pictures(pictures):
    hand = HandModel.load(default_models_dir() / FILE_NAME)
    parts = [RealPictures(pictures, is_held_out).sample(np.random.default_rng(0), 60, 0, hand) for is_held_out in (False, True)]
    first, other = ({picture.tobytes() for picture in part.features} for part in parts)
    assert len(first) == 4
    assert len(other) == 1
    assert not first & other
    assert parts[0].features.min() >= 0
    assert parts[0].features.max() <= 1


def test_folders_without_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match="--pictures"):
        RealPictures(tmp_path, False)
    for settings in ({"trunk": "resnet50"}, {"real_views": "x"}, {"trunk": "resnet50", "real_views": "x", "views": "y"}):
        with pytest.raises(ValueError, match="needs a trunk"):
            train.make_task(GraphConfig(task="graph_diffusion", steps=1, **settings))


def test_the_trunk_is_a_resnet50(tmp_path):
    torch.manual_seed(0)
    net = ResNet50().eval()
    assert sum(parameter.numel() for parameter in net.parameters()) == 23_508_032
    maps = net(torch.rand(2, *IMAGE_SHAPE))
    assert maps.shape == (2, *MAP_SHAPE)
    assert 0.01 < maps.std().item() < 10
    # A file of torchvision also has the counters of its normalisation and the last layer.
    stored = {**net.state_dict(), "fc.weight": torch.zeros(1000, 2048), "bn1.num_batches_tracked": torch.tensor(0)}
    torch.save(stored, tmp_path / "resnet50.pth")
    again = ResNet50(tmp_path / "resnet50.pth").eval()
    torch.testing.assert_close(again(torch.ones(1, *IMAGE_SHAPE)), net(torch.ones(1, *IMAGE_SHAPE)))
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth is not a file of torchvision's resnet50"):
        ResNet50(tmp_path / "other.pth")
