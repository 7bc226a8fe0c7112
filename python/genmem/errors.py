"""The exceptions genmem raises beside the built-in ones."""


class BackendError(RuntimeError):
    """The backend that was named cannot run on this machine, or is not in this build."""


class DataError(ValueError):
    """A data set, a file of one, or a row of one is not what it claims to be."""


class CheckpointError(ValueError):
    """A checkpoint is corrupted, or belongs to another model."""


class RunMismatchError(ValueError):
    """A run directory was made with another recipe, data set or version than the one asked for."""
