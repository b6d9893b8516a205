"""Who may send what: the guard around the web server."""
