"""vidjax from the command line: python launch.py --config configs/r2p1d.py [--job NAME] [--config.key=value ...]"""

import functools
import os
import sys

# Before anything imports TensorFlow: it only decodes images here, and has nothing to say about itself.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

from vidjax import jobs
from vidjax.core import errors
from vidjax.run import command, huge_pages


def main(argv, own_process=False):
    """What the command line asks for. A process of its own, in which nothing else is open, may start anew for it."""
    request = command.parse(argv, jobs.names())
    if own_process and (request.config is None or request.config.compile.huge_pages):
        huge_pages.restart()
    jobs.run(request)


if __name__ == "__main__":
    sys.exit(errors.guarded(functools.partial(main, own_process=True), sys.argv[1:]))
