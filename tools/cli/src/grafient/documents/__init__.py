"""The contract with other programs, generated from the code: topics and HTTP."""
