"""How fast the system is: one command a question, every figure beside a ratio to something run in the same minute."""
