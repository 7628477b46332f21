"""Looking inside: what filters and networks see in an image. Nothing here changes a model or a file."""
