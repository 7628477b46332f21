"""The page that shows every number of a network: a server on this machine, and plain JavaScript modules.

It reads the documents of run folders and asks `predict` and `inside` for tensors. Needs the extra `explore`.
"""
