"""The errors a user can cause and mend; the command line prints them without a traceback."""


class InputError(ValueError):
    """The input cannot be used: the message says what came, what was expected and the nearest choice."""


class CheckpointError(InputError):
    """A file of weights cannot be read: the message says which file, where in it, and what is wrong."""


class DownloadError(InputError):
    """A published file cannot be fetched or is not what was published: the message gives the way on."""
