# SPDX-License-Identifier: Apache-2.0
"""setuptools' build backend, which also works without a network on a Debian machine.

pip builds in an environment of its own, and wants to download what the build needs. In there Debian's packages are
out of sight, though they are all that the build needs: this backend looks for them itself. Another Python than Debian's
can't use them, so pip is asked to download.
"""
from __future__ import annotations

import importlib.util
import sys
import sysconfig

DEBIAN = "/usr/lib/python3/dist-packages"
NEEDED = ("setuptools", "wheel", "cffi")


def _missing() -> list[str]:
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


if _missing() and "deb_system" in sysconfig.get_scheme_names():
    sys.path.append(DEBIAN)

try:
    from setuptools.build_meta import *  # noqa: F401,F403
    from setuptools import build_meta as _setuptools
except ImportError:  # pip is about to ask what there must be
    _setuptools = None  # type: ignore[assignment]


def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:
    return _missing()


def get_requires_for_build_sdist(config_settings: object = None) -> list[str]:
    return [name for name in _missing() if name == "setuptools"]


def get_requires_for_build_editable(config_settings: object = None) -> list[str]:
    return _missing()
