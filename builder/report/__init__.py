"""`dist/report.html`: a release and how it was built, as one page that needs no network.

`record` reads what is known, `data` makes one model of it, `page` puts that into HTML, `run` writes the file. What the
page does in a browser is in `web/`.
"""
