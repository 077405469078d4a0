"""The status page: whole without JavaScript, live with it; no request leaves the host."""

from monitor.api.page.router import page_router

__all__ = ["page_router"]
