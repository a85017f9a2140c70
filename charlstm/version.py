"""The version of charlstm. This module imports nothing."""

__version__ = "0.1.0"
