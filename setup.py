"""Adds shipped models and the catalog of texts to the package; all else is in ``setup.cfg``."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# As ``SHIPPED`` in ``charlstm/checkpoint/names.py``.
SHIPPED = ("english", "shakespeare")


class BuildWithModels(build_py):
    """Copies the shipped models beside the modules; an editable install finds them by itself."""

    def run(self) -> None:
        """Build the package, then add the models that are there."""
        super().run()
        if self.editable_mode:
            return
        for name in SHIPPED:
            source = Path("checkpoints", name)
            if source.is_dir():
                target = Path(self.build_lib, "charlstm", "shipped", name)
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target)
        catalog = Path("corpora", "catalog.json")
        if catalog.exists():
            target = Path(self.build_lib, "charlstm", "shipped", catalog.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(catalog, target)


setup(cmdclass={"build_py": BuildWithModels})
