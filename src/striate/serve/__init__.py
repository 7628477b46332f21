"""A finished run as a server that answers to images over HTTP."""
