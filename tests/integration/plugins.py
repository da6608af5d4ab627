# SPDX-License-Identifier: MIT
"""Where the built plugins are, for a daemon that has given its privileges up."""

import atexit
import os
import pathlib
import shutil
import tempfile

_TOP = pathlib.Path(__file__).resolve().parents[2]

_copies = None


def folder():
    """A folder of this run's that everybody may read."""
    global _copies
    if _copies is None:
        _copies = pathlib.Path(tempfile.mkdtemp(prefix="mmp-plugins-"))
        _copies.chmod(0o755)
        atexit.register(shutil.rmtree, _copies, ignore_errors=True)
    return _copies


def path(name):
    """The shared object of a plugin, copied to where the user that mmproxy becomes can read it."""
    copy = folder() / f"{name}.so"
    if not copy.exists():
        shutil.copyfile(_built(name), copy)
        copy.chmod(0o644)
    return str(copy)


def reachable(*folders):
    """Settings at the top for a reload that brings the first plugin: its folder, that of the
    configuration, and these are open to it from the start on."""
    return {"landlock": {"paths": [str(folder()), ".", *map(str, folders)]}}


def entry(name, config=None, plugin=None, **settings):
    """An entry of `plugins`, for a listener or the top: `name` is the plugin's file as well."""
    settings = {"name": name, "path": path(plugin or name), **settings}
    return {**settings, "config": config} if config is not None else settings


def _built(name):
    """Below one of the folders of $PLUGINS, or what the build left at its usual places."""
    folders = [_TOP / "plugin", _TOP / "tests" / "plugins"]
    if os.environ.get("PLUGINS"):
        folders = [pathlib.Path(folder) for folder in os.environ["PLUGINS"].split(":")]
    for folder in folders:
        for candidate in (folder / f"{name}.so", folder / name / f"{name}.so"):
            if candidate.is_file():
                return candidate
    raise AssertionError(f"no plugin {name} in {' or '.join(map(str, folders))}")
