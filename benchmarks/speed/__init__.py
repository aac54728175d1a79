"""Speed beside the peers and the physical limits: ``make bench``.

``topics/`` says what is measured, ``systems/`` has a file for each topic and environment with the
code of each system, ``goals.py`` what is to be reached. ``worker.py`` is one process: one system
of one topic. Nothing but a worker imports a library that is measured.
"""
