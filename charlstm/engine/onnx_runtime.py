"""Imports ONNX Runtime without its telemetry; every other module imports it from here.

Since 1.29 its Linux and macOS builds record a device id and one row per run below the user's cache
folder, and can upload them. The environment variable prevents that; it is read when the library is
loaded. This module knows nothing of charlstm.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

# For programs that loaded the library before the variable was set.
onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime"]
