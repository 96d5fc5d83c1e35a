"""What tests in a real browser ask for: a project that is served, and people who visit it."""

from browser_helpers import chromium, serve, visit

__all__ = ("chromium", "serve", "visit")
