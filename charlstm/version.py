"""The version of charlstm. Imports nothing."""

__version__ = "0.1.0"
