"""A config turned into parts, once: what a job needs to train and evaluate."""

from vidjax.experiment.assembly import Experiment, build, check

__all__ = ["Experiment", "build", "check"]
