"""The version of charlstm, for whatever records or prints it."""

__version__ = "0.1.0"
