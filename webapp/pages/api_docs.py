"""How to use the API: a page made from its own description, without a script from elsewhere."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template, request

from webapp.problems import KINDS

blueprint = Blueprint("api_docs", __name__)


@blueprint.get("/api/docs")
def page() -> str:
    """Every operation with its fields, answers and a curl example, and every code of a problem."""
    from webapp.api.description import describe
    from webapp.api.reference import ctx_reference

    document = describe(current_app)
    return render_template(
        "api_docs/page.html",
        groups=ctx_reference(document, request.host_url.rstrip("/")),
        tags={tag["name"]: tag["description"] for tag in document["tags"]},
        models=document["components"]["schemas"],
        kinds=KINDS,
        host=request.host_url.rstrip("/"),
    )
