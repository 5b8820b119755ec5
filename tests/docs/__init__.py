"""What the documentation says is so: its code runs, its commands exist, its site is whole."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
