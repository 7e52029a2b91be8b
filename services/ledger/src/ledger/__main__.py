from common import unloaded  # noqa: F401 - first

from ledger.app import main

main()
