"""Scores of written text and of labels against what is right."""
