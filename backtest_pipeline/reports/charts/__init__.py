"""Charts as pictures and as Bokeh figures; bytes and figures out, no files."""
