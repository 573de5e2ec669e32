"""Pages for the prices of messages."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from chatbot.core.db import db
from chatbot.core.errors import InvalidInput
from chatbot.message_templates import prices
from chatbot.message_templates.forms import PriceForm

bp = Blueprint("message_prices", __name__, url_prefix="/templates/prices")


@bp.get("/")
def index() -> ResponseReturnValue:
    return _page(PriceForm())


@bp.post("/")
def set_price() -> ResponseReturnValue:
    form = PriceForm()
    if form.validate_on_submit():
        try:
            prices.set_price(**form.given)
            db.session.commit()
            flash(_("The price has been saved."), "success")
            return redirect(url_for("message_prices.index"), 303)
        except InvalidInput as error:
            db.session.rollback()
            form[error.field or "amount"].errors = [_(error.message, **error.values)]
    return _page(form), 422


@bp.post("/<int:price_id>/delete")
def delete(price_id: int) -> ResponseReturnValue:
    prices.delete_price(price_id)
    db.session.commit()
    flash(_("The price has been deleted."))
    return redirect(url_for("message_prices.index"), 303)


def _page(form: PriceForm) -> str:
    return render_template("message_templates/prices.html", form=form, prices=prices.list_prices())
