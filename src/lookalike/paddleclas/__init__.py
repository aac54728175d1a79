"""The visitor's dialect: tables from PaddleClas's words to ours, plain dict to plain dict.

Only the assembly room and the command line look in here. Without this room Lookalike works the
same, with its native words only.
"""

from lookalike.paddleclas.files import read_reference, reference_file
from lookalike.paddleclas.irrelevant import drop_irrelevant
from lookalike.paddleclas.layers import stays_whole, stop_layer_candidates
from lookalike.paddleclas.numbered import place_numbered
from lookalike.paddleclas.optimizer_state import read_optimizers, read_progress
from lookalike.paddleclas.refused import other_program
from lookalike.paddleclas.weight_keys import to_our_layout, translate_weights
from lookalike.paddleclas.words import (
    Translation,
    drop_ignored,
    gather,
    their_names,
    translate_component,
)

__all__ = [
    "Translation",
    "drop_ignored",
    "drop_irrelevant",
    "gather",
    "other_program",
    "place_numbered",
    "read_optimizers",
    "read_progress",
    "read_reference",
    "reference_file",
    "stays_whole",
    "stop_layer_candidates",
    "their_names",
    "to_our_layout",
    "translate_component",
    "translate_weights",
]
