"""How the operator sees what goes on: request ids, numbers, and traces. Knows no Django."""
