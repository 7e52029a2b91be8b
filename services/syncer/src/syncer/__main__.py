from syncer.app import main

main()
