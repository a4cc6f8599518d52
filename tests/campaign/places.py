"""Makes the project and the machinery of its other tests importable: the campaign also runs as a program."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[1:1] = [
    str(ROOT / folder)
    for folder in ("", "tests", "tests/infra", "tests/pipeline/local", "tests/pipeline/serving")
    if str(ROOT / folder) not in sys.path
]
