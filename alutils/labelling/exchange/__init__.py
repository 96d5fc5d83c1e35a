"""Labels that come in from files and go out as files; it knows the store, and no model or page.

Coming in: `reading` (what a file says, pure), `matching` (of which pictures, pure), `importing`
(checked first, then one transaction). Going out: `tables`, `arrays`, `pictures`, and `exporting`,
which puts them where they are wanted, whole or not at all. `backup` copies a project.
"""

__all__ = ()
