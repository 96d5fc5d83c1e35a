"""The labelling tool in a browser: pages, requests in JSON, and what keeps strangers out.

`alutils.labelling.web.serve` runs it on this machine; `alutils.labelling.web.watch` takes in what
comes into the project's folder.
"""
