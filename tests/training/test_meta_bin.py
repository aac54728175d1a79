"""Meta-learning of the gates: one update by hand, and a whole run of its YAML."""

from copy import deepcopy

import pytest
import torch
from conftest import train_in_two_parts, trainer_of
from reference_data import market
from torch import nn

from lookalike import build
from lookalike.assembly.job import build_job
from lookalike.assembly.load import load_run
from lookalike.assembly.scopes import modules_in_scope
from lookalike.errors import ConfigError
from lookalike.models.backbones.meta_bin import MetaBatchInstanceNorm
from lookalike.models.embedding_model import EmbeddingModel
from lookalike.training import load_checkpoint
from lookalike.training.meta_bin import MetaBinUpdate
from lookalike.types import Batch, PairedBatch

YAML = """\
Global:
  output_dir: {root}/output
  device: cpu
  epochs: 2
  iter_per_epoch: 2
  print_batch_step: 1
  image_shape: [3, 64, 32]
  eval_mode: retrieval
  train_mode: metabin
  warmup_iter: 1
AMP:
  use_amp: False
Arch:
  name: RecModel
  Backbone: {{name: ResNet50_metabin, bias_lr_factor: 2.0}}
  BackboneStopLayer: {{name: flatten}}
  Neck: {{name: MetaBNNeck, num_features: 2048, use_global_stats: True}}
  Head: {{name: FC, embedding_size: 2048, class_num: 4, bias_attr: False}}
Loss:
  Train: [{{CELossForMetaBIN: {{weight: 1.0}}}}]
  Basic:
    - CELossForMetaBIN: {{weight: 1.0, epsilon: 0.1}}
    - TripletLossForMetaBIN: {{weight: 1.0, margin: 0.3, feature_from: backbone}}
  MetaTrain:
    - TripletLossForMetaBIN: {{weight: 1.0, margin: 0.3, feature_from: backbone}}
    - IntraDomainScatterLoss: {{weight: 1.0, feature_from: backbone}}
    - InterDomainShuffleLoss: {{weight: 1.0, feature_from: backbone}}
  MetaTest:
    - CELossForMetaBIN: {{weight: 1.0, epsilon: 0.1}}
    - TripletLossForMetaBIN: {{weight: 1.0, margin: 0.3, feature_from: backbone}}
Optimizer:
  - Momentum:
      scope: ".*(conv|batch_norm|instance_norm|feat_bn|fc)"
      momentum: 0.9
      lr: {{name: Cosine, learning_rate: 0.01, epochs: 348, step_each_epoch: 50}}
      regularizer: {{name: L2, coeff: 0.0005}}
  - SGD: {{scope: "backbone.*gate", lr: {{name: Constant, learning_rate: 20.0}}}}
  - SGD:
      scope: "backbone.*gate"
      lr:
        name: Cyclic
        base_learning_rate: 0.001
        max_learning_rate: 0.1
        step_size_up: 2
        step_size_down: 2
        epochs: 348
        step_each_epoch: 50
DataLoader:
  Train: &train
    dataset: &market
      name: Market1501
      image_root: {root}
      cls_label_path: bounding_box_train
      backend: pil
      transform_ops: &ops
        - ResizeImage: {{size: [32, 64], return_numpy: False, backend: pil}}
        - ToTensor:
        - Normalize: {{mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}}
    sampler: {{name: NaiveIdentityBatchSampler, batch_size: 8, num_instances: 2, drop_last: True}}
    loader: {{num_workers: 0}}
  Metalearning:
    Train:
      dataset: *market
      sampler:
        name: DomainShuffleBatchSampler
        batch_size: 8
        num_instances: 2
        camera_to_domain: True
        drop_last: True
      loader: {{num_workers: 0}}
  Eval:
    Query: &query
      dataset: {{name: Market1501, image_root: {root}, cls_label_path: query, backend: pil,
                transform_ops: *ops}}
      sampler: {{name: DistributedBatchSampler, batch_size: 8, shuffle: False, drop_last: False}}
      loader: {{num_workers: 0}}
    Gallery: *query
Metric:
  Eval: [{{Recallk: {{topk: [1, 5]}}}}, {{mAP: {{}}}}]
"""


@pytest.fixture
def folder(tmp_path):
    market(tmp_path, "Market1501", "Train", range(4))
    market(tmp_path, "Market1501", "Query", range(4, 7))
    (tmp_path / "run.yaml").write_text(YAML.format(root=tmp_path))
    return tmp_path


def test_scopes_part_the_gates_from_all_other_weights(folder):
    model = build_job(load_run(folder / "run.yaml")).model
    found = {}
    for scope in (".*(conv|batch_norm|instance_norm|feat_bn|fc)", "backbone.*gate"):
        modules = modules_in_scope(scope, model, nn.Module())
        found[scope] = {id(p) for module in modules for p in module.parameters()}
    weights, gates = found.values()
    assert gates == {id(p) for name, p in model.named_parameters() if name.endswith(".gate")}
    assert len(gates) == 53
    assert weights | gates == {id(p) for p in model.parameters()}
    assert not weights & gates


def test_what_the_reference_sets_itself_is_noted_and_decides_nothing(folder):
    text = (folder / "run.yaml").read_text()
    assert "use_shared_memory" not in text
    text = text.replace("num_workers: 0", "num_workers: 0, use_shared_memory: True")
    (folder / "run.yaml").write_text(text)
    run = load_run(folder / "run.yaml")
    for word in ("epochs", "step_each_epoch", "use_shared_memory"):
        assert any(note.startswith(f"'{word}'") for note in run.notes), word
    assert trainer_of(folder).epochs == 2


def test_a_run_moves_the_gates_and_resumes_bit_for_bit(folder):
    straight = folder / "straight"
    whole = trainer_of(folder, f"Global.output_dir={straight}")
    whole.run()
    train_in_two_parts(folder)
    expected, found = load_checkpoint(straight).model, load_checkpoint(folder / "output").model
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    gates = torch.cat([value for name, value in found.items() if name.endswith(".gate")])
    assert 0.0 <= gates.min() < 1.0
    assert gates.max() <= 1.0
    assert "MetaTest_CELoss" in (folder / "output" / "train.log").read_text()


def test_what_is_missing_is_told_at_once(folder):
    text = (folder / "run.yaml").read_text()
    text = text.replace("train_mode: metabin", "train_mode: metabin\n  update_freq: 2")
    start, end = text.index("  MetaTest:"), text.index("Optimizer:")
    (folder / "run.yaml").write_text(text[:start] + text[end:])
    with pytest.raises(ConfigError) as caught:
        build_job(load_run(folder / "run.yaml"))
    keys = {problem.key for problem in caught.value.problems}
    assert keys == {"Loss.MetaTest", "Global.update_freq"}


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), MetaBatchInstanceNorm(4)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, images):
        return self.pool(self.norm(self.conv(images)).relu()).flatten(1)


def random_batch(seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(4).repeat_interleave(2)
    return Batch(
        torch.randn(8, 3, 6, 6, generator=generator), labels, torch.arange(8) % 2, torch.arange(8)
    )


def test_one_update_is_the_papers_algorithm():
    torch.manual_seed(0)
    head = build("head", {"FC": {"embedding_size": 4, "class_num": 4}})
    model = EmbeddingModel(Tiny(), head=head)
    gate = model.backbone.norm.gate
    with torch.no_grad():
        gate.fill_(0.5)
    by_hand = deepcopy(model)
    parts, rates = ("basic", "meta_train", "meta_test"), (0.1, 0.3, 0.5)
    losses = {part: build("loss", [{"CELossForMetaBIN": {}}]) for part in parts}
    weights = [p for p in model.parameters() if p is not gate]
    optimizers = [
        build("optimizer", {"name": "SGD", "lr": rate}, parameters=parameters)
        for rate, parameters in zip(rates, (weights, [gate], [gate]), strict=True)
    ]
    update = MetaBinUpdate(model, losses, optimizers, seed=3)
    first, meta = random_batch(1), random_batch(2)
    update.train()
    pair = PairedBatch(first.images, first.labels, first.cameras, first.indices, meta)
    update.gradients(pair, 0)

    def gradients(batch, parameters):
        loss = nn.functional.cross_entropy(by_hand(batch.images)["logits"], batch.labels)
        return torch.autograd.grad(loss, parameters)

    norm = by_hand.train().backbone.norm
    own = [p for p in by_hand.parameters() if p is not norm.gate]
    for parameter, gradient in zip(own, gradients(first, own), strict=True):
        parameter.data -= rates[0] * gradient
    running, before = norm.batch_norm.running_mean.clone(), norm.gate.data.clone()
    norm.mode = "hold"
    known, unknown = update._split(meta, 0)
    assert len(known.cameras.unique()) == len(unknown.cameras.unique()) == 1
    (inner,) = gradients(known, [norm.gate])
    norm.gate.data = before - rates[1] * rates[2] * inner
    (outer,) = gradients(unknown, [norm.gate])
    norm.gate.data = (before - rates[1] * outer).clamp(0.0, 1.0)
    assert not torch.equal(norm.gate.data, before)
    for found, expected in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model.backbone.norm.batch_norm.running_mean, running)
