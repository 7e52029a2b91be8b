"""The contract with other programs, generated from the code: what goes over topics and over HTTP."""
