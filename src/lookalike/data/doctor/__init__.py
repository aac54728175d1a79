"""Finds what is wrong with a data set: files, copies, labels, leaks. Knows no model and no YAML."""

from lookalike.data.doctor.clean_lists import CleanList, write_clean_lists
from lookalike.data.doctor.diagnosis import Diagnosis, diagnose
from lookalike.data.doctor.examine import ImageFacts, Trait, examine
from lookalike.data.doctor.fact_table import FactTable, examine_files
from lookalike.data.doctor.findings import Finding
from lookalike.data.doctor.findings_csv import write_csv
from lookalike.data.doctor.kinds import KINDS, Kind
from lookalike.data.doctor.page import write_page
from lookalike.data.doctor.splits import AllRows, ListedSplit

__all__ = [
    "KINDS",
    "AllRows",
    "CleanList",
    "Diagnosis",
    "FactTable",
    "Finding",
    "ImageFacts",
    "Kind",
    "ListedSplit",
    "Trait",
    "diagnose",
    "examine",
    "examine_files",
    "write_clean_lists",
    "write_csv",
    "write_page",
]
