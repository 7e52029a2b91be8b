from common import unloaded  # noqa: F401 - first

from syncer.app import main

main()
