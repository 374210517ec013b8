"""The one error of an import as a whole."""


class ImportRefusedError(Exception):
    """The images cannot be imported; the message says why and what to do."""
