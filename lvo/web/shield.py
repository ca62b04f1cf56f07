"""What is done for every request, whatever its route: limits, headers for the browser, answers to mistakes."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from lvo.errors import LvoError
from lvo.web.context import Context

__all__ = ["CONTENT_SECURITY_POLICY", "protect"]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
)
"""Our own files only, nothing inline; pictures may also be made by the page itself."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

MAX_BODY_BYTES = 16_384
"""No request of the pages has more than some hundred bytes."""


def protect(app: FastAPI, context: Context) -> None:
    """Put limits and headers before, and plain answers behind, every route of an application."""

    @app.middleware("http")
    async def _shield(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        refused = _refused(request, context)
        response = refused or await call_next(request)
        response.headers.update(_HEADERS)
        if request.url.path.startswith("/assets/"):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"  # names hold a hash of the content
        else:
            response.headers["Cache-Control"] = "no-store" if request.url.path.startswith("/api/") else "no-cache"
        if request.url.scheme == "https":
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        """What is wrong, without repeating what was sent."""
        wrong = [{"where": ".".join(str(part) for part in e["loc"]), "what": e["msg"]} for e in error.errors()]
        return JSONResponse({"detail": wrong}, 422)

    @app.exception_handler(LvoError)
    async def _broken(_request: Request, error: LvoError) -> JSONResponse:
        return JSONResponse({"detail": f"{type(error).__name__}: ask whoever runs this server to look at its log"}, 500)


def _refused(request: Request, context: Context) -> Response | None:
    if not context.limits.hit("request", request.client.host if request.client else ""):
        return JSONResponse({"detail": "too many requests; wait a minute"}, 429, headers={"Retry-After": "60"})
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES or "transfer-encoding" in request.headers:
        return JSONResponse({"detail": f"a request may have {MAX_BODY_BYTES} bytes, and must say how many"}, 413)
    return None
