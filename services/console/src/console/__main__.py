from common import unloaded  # noqa: F401 - first

from console.app import main

main()
