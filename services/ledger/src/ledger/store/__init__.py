"""The ledger's tables. Callers own the transaction."""
