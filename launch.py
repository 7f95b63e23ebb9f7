"""vidjax from the command line: python launch.py --config configs/r2p1d.py [--job NAME] [flags]"""

import sys

from vidjax import jobs

if __name__ == "__main__":
    sys.exit(jobs.main(sys.argv[1:], own_process=True))
