"""ONNX Runtime without its telemetry: everything that needs it takes it from here.

Since 1.29 its Linux and macOS builds keep a device id and a row per run below the user's cache
folder, and can upload them. The variable is read when the library is loaded and keeps it from
collecting anything. This module knows nothing of charlstm.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

# For a program that had loaded the library before, when the variable was not set.
onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime"]
