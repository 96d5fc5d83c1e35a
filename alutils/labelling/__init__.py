"""The labelling tool: a queue of pictures, a web application, a notebook widget."""
