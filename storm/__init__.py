"""The storm: every story at once while processes die, and afterwards the books are compared."""
