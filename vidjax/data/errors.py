"""What goes wrong with data, in sentences for the person who started the job: one to five lines, no stack."""


class DataError(Exception):
    """The data is there and is bad: a clip that cannot be read, a label nobody knows. Jobs exit with code 3."""

    exit_code = 3


class MissingData(DataError):
    """The data, or its name, is not there: a missing root, no lists, an unknown source. Jobs exit with code 2."""

    exit_code = 2
