from common import unloaded  # noqa: F401 - first

from connector.app import main

main()
