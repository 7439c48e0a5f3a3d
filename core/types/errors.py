"""Our own errors: few, and each says the cure."""


class OutfoldError(Exception):
    """Base of every error whose text is written for the person who reads it: what is wrong and the cure."""


class DatasetError(OutfoldError):
    """A dataset cannot be read, or is not what it was said to be."""


class ConfigError(OutfoldError, ValueError):
    """A setting has a value that cannot work."""


class StorageError(OutfoldError):
    """The installation's folder, disk or database cannot be used as it is."""


class RoundError(OutfoldError):
    """A round cannot start, or cannot go on."""


class ExportError(OutfoldError):
    """An export could not be written whole; nothing of it was left behind."""


class RoundCancelledError(OutfoldError):
    """Somebody asked for the work to stop."""
