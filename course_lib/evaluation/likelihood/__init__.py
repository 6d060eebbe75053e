"""How probable a model finds a text, a completion, or one candidate among others."""
