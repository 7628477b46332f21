"""Looking inside: what filters and networks see in a picture. Nothing here changes a model or a file."""
