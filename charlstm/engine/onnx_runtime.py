"""Imports ONNX Runtime without its telemetry; all other modules import it from here.

Since version 1.29, its Linux and macOS builds record a device id and one row per run in the user's
cache folder, and can upload them. The environment variable prevents this. The library reads it when
it is loaded.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

# For programs that loaded the library before the variable was set.
onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime"]
