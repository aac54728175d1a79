"""Something done in a forked process that is killed at a named point."""

import os
import sys
import warnings

from lookalike.faults import Fault, watching


def points_passed(action, pattern="file.*"):
    """Return how many fault points an action passes."""
    passed = []
    with watching(passed.append):
        action()
    prefix = pattern.removesuffix("*")
    return sum(name.startswith(prefix) for name in passed)


def killed_at(action, fault):
    """Run an action in a child with a fault such as ``file.*:3:kill``; return how it ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        with watching(Fault(fault)):
            action()
        code = 0
    finally:
        sys.stdout.flush()
        os._exit(code)
