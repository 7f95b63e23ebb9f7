"""A checkout of vidjax as a contestant, in a process that imports the package from there."""

from pathlib import Path

from benchmarks.targets import NUM_CLASSES, Target
from benchmarks.timing import Contestant
from benchmarks.worker_process import ROOT, WorkerProcess, start_words
from vidjax.core.errors import UserError

# The worker is this checkout's, as the other one may have no benchmarks, or older ones. `vidjax` is
# the other one's: it is imported when the path begins with that folder.
START = """
import sys
checkout, root = sys.argv[1:]
sys.path[0] = root
from benchmarks import checkout_worker
sys.path[0] = checkout
checkout_worker.main()
"""


class CheckoutProcess(WorkerProcess):
    """The process that runs the vidjax of a folder, with this interpreter and its packages."""

    def __init__(self, folder: Path):
        """Raises UserError where the folder holds no vidjax."""
        folder = Path(folder).resolve()
        if not (folder / "vidjax" / "__init__.py").is_file():
            raise UserError(f"{folder} is no checkout of vidjax: it has no folder vidjax.")
        self.folder = folder
        super().__init__(
            start_words(START, str(folder), str(ROOT)), title=f"The process of {folder}"
        )
        imported = Path(self.ask(do="hello")["folder"])
        if imported != folder:
            raise UserError(f"The process of {folder} imported the vidjax of {imported}.")

    def network(self, target: Target, step: str) -> Contestant:
        """A network at a step, "forward" or "train". Raises WorkerError."""
        return self.contestant(
            str(self.folder),
            step,
            family=target.family,
            variant=target.variant,
            fields=dict(target.fields),
            num_classes=NUM_CLASSES,
            clip=target.clip,
            precision=target.precision,
        )
