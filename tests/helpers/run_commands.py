"""Run commands of hf-msa, and scripts, one after the other in one process, which imports everything once.

Usage: python run_commands.py COMMANDS.json, a list of lists of arguments; the first is a command, or a script's path
"""

import json
import runpy
import sys
from pathlib import Path

from hf_msa.cli import app

for first, *rest in json.loads(Path(sys.argv[1]).read_text()):
    if first.endswith(".py"):
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")
        continue
    try:
        app([first, *rest])
    except SystemExit as end:
        if end.code:
            raise
