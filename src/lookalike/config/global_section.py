"""The ``Global`` section: everything that is not data, model, loss, optimiser or metric."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from lookalike.config.specs import Frame, Limit, NonNegativeInt, PositiveInt, Whole

Device = Annotated[str, AfterValidator(lambda name: _device(name))]
ImageShape = Annotated[
    list[PositiveInt], Field(min_length=3, max_length=3), AfterValidator(lambda s: _colours(s))
]

# the check runs a model on one image of this size
_MAX_PIXELS = 4096 * 4096
_DEVICES = ("auto", "cpu", "gpu", "cuda", "mps", "xpu", "npu", "mlu", "ascend", "intel_gpu")


def _device(name: str) -> str:
    if name.split(":")[0] not in _DEVICES:
        raise PydanticCustomError("device", "one of {names}", {"names": ", ".join(_DEVICES)})
    return name


def _colours(shape: list[int]) -> list[int]:
    if shape[0] != 3:
        raise PydanticCustomError("shape", "[3, height, width]; images have three colours")
    if shape[1] * shape[2] > _MAX_PIXELS:
        raise PydanticCustomError("shape", "at most 4096 x 4096 pixels for a network")
    return shape


class GlobalSection(Frame):
    """Everything that is not data, model, loss, optimiser or metric."""

    # the run and its folder
    output_dir: str = "./output/"
    device: Device = "auto"
    seed: NonNegativeInt | None = None
    use_visualdl: bool = False
    use_tensorboard: bool = False
    print_batch_step: PositiveInt = 10
    # what is loaded, what is saved
    checkpoints: str | None = None
    pretrained_model: str | bool | None = None
    # epochs between kept ones, so many of which stay (all); iterations between saves of latest
    save_interval: Whole = 1
    keep_checkpoints: PositiveInt | None = None
    save_steps: NonNegativeInt = 0
    image_shape: ImageShape = [3, 224, 224]
    save_inference_dir: str = "./inference"
    process_timeout: PositiveInt = 1800  # seconds without a move; of several processes
    # how long
    epochs: PositiveInt = 1
    iter_per_epoch: PositiveInt | None = None
    train_mode: Literal["metabin"] | None = None
    warmup_iter: NonNegativeInt = 0
    update_freq: PositiveInt = 1
    # in how much memory, and how fast; feature_cache: True keeps it in the run folder
    micro_batch_size: PositiveInt | None = None
    activation_checkpointing: bool = False
    fsdp: bool = False
    compile: bool = False
    feature_cache: str | bool = False
    # an image that training cannot read; below 1 the limit is a share of all images
    bad_images: Literal["error", "skip"] = "error"
    bad_images_limit: Limit = 0.01
    # seconds an image may take in a data worker; 0 waits for ever
    data_timeout: NonNegativeInt = 600
    # evaluation
    eval_mode: Literal["retrieval", "classification", "adaface"] = "classification"
    eval_during_train: bool = True
    eval_interval: PositiveInt = 1
    start_eval_epoch: NonNegativeInt = 0
    eval_before_train: bool = False
    retrieval_feature_from: Literal["features", "backbone"] = "features"
    feature_normalize: bool = True
    feature_binarize: Literal["round", "sign"] | None = None
    re_ranking: bool = False
    retrieval_protocol: Literal["exact", "reference"] = "exact"
    sim_block_size: PositiveInt = 64
    # said elsewhere as well: the head's own class_num decides
    class_num: PositiveInt | None = None
