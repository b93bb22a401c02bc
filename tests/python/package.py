# SPDX-License-Identifier: Apache-2.0
"""Builds the Python package for the tests, against the library of a build that isn't installed.

    package.py SOURCE_ROOT BUILD_ROOT DIRECTORY STAMP
"""
import os
import pathlib
import subprocess
import sys

source, build, directory, stamp = sys.argv[1:]
environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(build, "meson-uninstalled"), PYTHONDONTWRITEBYTECODE="1",
                   CFLAGS="-O1 -g0")  # quick to build
done = subprocess.run(
    [sys.executable, "setup.py", "-q", "build", "--build-base", os.path.join(directory, "temporary"),
     "--build-lib", os.path.join(directory, "site")],
    cwd=os.path.join(source, "python"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
if done.returncode:
    sys.exit(done.stdout)
pathlib.Path(stamp).touch()
