"""The parts of ``benchmarks/retrieval.py``: data, one timed run in a process, the report."""
