"""Where chunks of work run: processes of this machine, behind the interface of `concurrent.futures`."""
