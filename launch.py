"""vidjax from the command line: python launch.py --config configs/r2p1d.py [--job NAME] [--config.key=value ...]"""

import os
import sys

# Before anything imports TensorFlow: it only decodes images here, and has nothing to say about itself.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

from vidjax import jobs
from vidjax.run import command, errors


def main(argv):
    jobs.run(command.parse(argv, jobs.names()))


if __name__ == "__main__":
    sys.exit(errors.guarded(main, sys.argv[1:]))
