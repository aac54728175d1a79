"""Small retrieval problems with known answers, put to Lookalike and to its peers.

``python -m benchmarks.conformance`` from the root of the repository prints who passes what. Nothing
in here but ``systems/lookalike.py`` imports Lookalike, so the cases run in any environment.
"""
