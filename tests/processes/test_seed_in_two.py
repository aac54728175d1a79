"""The seed document's YAML in two processes does what one does with twice the batch."""

from dataclasses import replace

import pytest
from conftest import SHARED, make_images, write_list
from process_group import run
from test_training import losses, train

from lookalike.training import load_checkpoint
from lookalike.training.update import Update

SEED = SHARED / "seed" / "feature_learning.md"

pytestmark = pytest.mark.skipif(not SEED.exists(), reason="the seed document is not here")


@pytest.fixture
def folder(tmp_path):
    """Eight labels of four images, and the blocks of the document as they are printed."""
    write_list(tmp_path / "list.txt", make_images(tmp_path, num_labels=8))
    parts = SEED.read_text(encoding="utf-8").split("```yaml\n")[1:]
    (tmp_path / "seed.yaml").write_text("\n".join(part.split("```")[0] for part in parts))
    return tmp_path


def train_in_double(config, changes):
    """Train in float64.

    A ResNet-50 with random weights passes a difference in the last digit of float32 on as percents
    of the gradient, in one process as in two.
    """
    initialise, output = Update.__init__, Update._output

    def double(self, model, loss, *rest, **more):
        initialise(self, model.double(), loss.double(), *rest, **more)

    def of_doubles(self, batch, model):
        return output(self, replace(batch, images=batch.images.double()), model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Update, "__init__", double)
        patch.setattr(Update, "_output", of_doubles)
        train(config, changes)


def trained(folder, number):
    """Train two steps with 16 images over all processes."""
    output = folder / f"in_{number}"
    changes = [
        f"Global.output_dir={output}",
        "Global.device=cpu",
        "Global.epochs=1",
        "+Global.iter_per_epoch=2",
        "Global.print_batch_step=1",
        "Global.eval_during_train=False",
        "Global.image_shape=[3, 64, 64]",
        f"DataLoader.Train.dataset.image_root={folder}/images",
        f"DataLoader.Train.dataset.cls_label_path={folder}/list.txt",
        "DataLoader.Train.dataset.transform_ops.0.ResizeImage.size=64",
        f"DataLoader.Train.sampler.batch_size={16 // number}",
        "DataLoader.Train.loader.num_workers=0",
        "Arch.Backbone.pretrained=False",
        # what the document leaves open: norms that see all images, and pairs between all
        "+Arch.use_sync_bn=True",
        "+Loss.Train.1.SupConLoss.gather=True",
    ]
    config = str(folder / "seed.yaml")
    if number == 1:
        train_in_double(config, changes)
    else:
        run(train_in_double, number, config, changes, joined=False)
    return load_checkpoint(output).state["update"]["optimizers"][0]["optimizer"]["state"]


@pytest.mark.walkthrough
def test_two_processes_do_what_one_does_with_twice_the_batch(folder):
    two, one = trained(folder, 2), trained(folder, 1)
    assert losses(folder, "in_2") == pytest.approx(losses(folder, "in_1"), rel=1e-10)
    assert len(two) == len(one) == 162
    for index, kept in one.items():
        own, other = kept["momentum_buffer"], two[index]["momentum_buffer"]
        assert (own - other).norm() < 1e-8 * own.norm(), index
