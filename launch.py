"""vidjax from the command line: python launch.py --config configs/r2p1d.py [--job NAME] [flags]"""

import sys

from vidjax.core import interrupts

if __name__ == "__main__":
    interrupts.leave_at_once()  # until the job has been imported
    from vidjax import jobs

    sys.exit(jobs.main(sys.argv[1:], own_process=True))
