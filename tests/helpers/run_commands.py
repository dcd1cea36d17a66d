"""Run commands of hf-msa one after the other in one process, which imports everything once.

Usage: python run_commands.py COMMANDS.json, a list of lists of arguments
"""

import json
import sys
from pathlib import Path

from hf_msa.cli import app

for command in json.loads(Path(sys.argv[1]).read_text()):
    try:
        app(command)
    except SystemExit as end:
        if end.code:
            raise
