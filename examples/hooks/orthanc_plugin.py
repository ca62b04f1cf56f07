"""Orthanc's Python plugin: analyse every study as soon as it is stable.

In orthanc.json: "Plugins": [".../libOrthancPython.so"], "PythonScript": "/etc/lvo/orthanc_plugin.py", "StableAge": 30. Use this
or orthanc.lua, not both.
"""

import os
import subprocess

import orthanc

HOOK = os.environ.get("LVO_HOOK", "/etc/lvo/orthanc_study.py")


def on_change(change, _level, resource):
    """Start the hook and go on: Orthanc must not wait for an analysis."""
    if change == orthanc.ChangeType.STABLE_STUDY:
        subprocess.Popen([HOOK, resource], start_new_session=True)


orthanc.RegisterOnChangeCallback(on_change)
