"""Many networks at once: the candidates of a search, trained as one stack and scored."""
