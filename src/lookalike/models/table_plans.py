"""How parts of tables are put to PyTorch's distributed checkpoint.

Source: https://docs.pytorch.org/docs/stable/distributed.checkpoint.html (planners, storage).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    MetadataIndex,
    TensorProperties,
)
from torch.distributed.checkpoint.planner import (
    LoadPlan,
    SavePlan,
    SavePlanner,
    TensorWriteData,
    WriteItem,
    WriteItemType,
)
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from lookalike.durable import sync
from lookalike.faults import fault_point
from lookalike.models.sharded import Rows


def _chunk(tensor: Tensor, rows: Rows) -> ChunkStorageMetadata:
    """Return where rows are in their table."""
    offsets = torch.Size([rows.start] + [0] * (tensor.ndim - 1))
    return ChunkStorageMetadata(offsets=offsets, sizes=tensor.shape)


class PartsToWrite(DefaultSavePlanner):
    """Every process writes the rows it has.

    Args:
        rows: Which they are, by name.
    """

    def __init__(self, rows: Mapping[str, Rows]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self.rows = rows

    def create_local_plan(self) -> SavePlan:
        self.plan = SavePlan([self._item(name) for name in self.rows if len(self._tensor(name))])
        return self.plan

    def _tensor(self, name: str) -> Tensor:
        found: Tensor = self.state_dict[name]
        return found

    def _item(self, name: str) -> WriteItem:
        tensor, chunk = self._tensor(name), _chunk(self._tensor(name), self.rows[name])
        about = TensorWriteData(
            chunk=chunk,
            properties=TensorProperties.create_from_tensor(tensor),
            size=torch.Size([self.rows[name].total, *tensor.shape[1:]]),
        )
        return WriteItem(MetadataIndex(name, chunk.offsets), WriteItemType.SHARD, tensor_data=about)

    def lookup_object(self, index: MetadataIndex) -> Tensor:
        return self._tensor(index.fqn)


class PartsToRead(DefaultLoadPlanner):
    """This process reads some rows of each table, wherever they lie.

    Args:
        rows: Which they are, by name.
    """

    def __init__(self, rows: Mapping[str, Rows]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self.rows = rows

    def create_local_plan(self) -> LoadPlan:
        assert self.metadata is not None
        items = []
        for name, tensor in self.state_dict.items():
            about: Any = self.metadata.state_dict_metadata[name]
            items += create_read_items_for_chunk_list(
                name, about, [_chunk(tensor, self.rows[name])]
            )
        return LoadPlan(items)

    def lookup_tensor(self, index: MetadataIndex) -> Tensor:
        found: Tensor = self.state_dict[index.fqn]
        return found


class PartsToFile(HuggingFaceStorageWriter):
    """One file for each process, in the format that PyTorch's reader for the Hub reads.

    PyTorch's own writer makes the file in memory, a second copy of the rows; this one writes them
    from where they are.

    Args:
        path: The file of this process.
        what: Is written, for fault points.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(str(path.parent), save_distributed=True)
        self.file, self.what = path, what

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan  # the folder is there, and new

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        tensors, places = {}, {}
        for item in plan.items:
            name, own = item.index.fqn, planner.resolve_data(item)
            assert isinstance(own, Tensor)
            tensors[name] = own.detach().cpu().contiguous()
            places[name] = {"saved_offsets": list(item.index.offset or ())}
        fault_point(f"{self.what}.write_rows")
        if tensors:
            about = {"format": "pt", "DCP_VERSION": "1.0", "DCP_SHARDING_INFO": json.dumps(places)}
            save_file(tensors, self.file, metadata=about)
            sync(self.file, self.what)
        done: Future[list[WriteResult]] = Future()
        done.set_result([])
        return done
