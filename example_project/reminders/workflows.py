"""Reminding of a cart once a day, three times, unless it is bought meanwhile."""

from django.conf import settings
from django.core.mail import send_mail
from pydantic import BaseModel

from django_ai.automation.workflows.core import Command, complete, get_context, goto, sleep, step, workflow

from .models import Cart

MOST_REMINDERS = 3


@workflow("cart_reminder")
class CartReminderWorkflow:
    class Context(BaseModel):
        cart_id: int
        sent: int = 0

    @step(start=True)
    def remind(self) -> Command:
        ctx = get_context()
        cart = Cart.objects.get(pk=ctx.cart_id)
        if cart.bought:
            return complete(display_title="Bought", display_subtitle=f"after {ctx.sent} reminders")
        if ctx.sent == MOST_REMINDERS:
            return goto(self.give_up)
        ctx.sent += 1
        cart.reminders.create(number=ctx.sent)
        send_mail("You left something behind", f"Still interested in {cart.item}?", None, [cart.email])
        return sleep(
            settings.SHOP_DAY,
            progress=ctx.sent / (MOST_REMINDERS + 1),
            display_title=f"Reminder {ctx.sent} of {MOST_REMINDERS} is out",
        )

    @step()
    def give_up(self) -> Command:
        ctx = get_context()
        Cart.objects.filter(pk=ctx.cart_id).update(closed=True)
        return complete(display_title="Cart closed", display_subtitle=f"after {ctx.sent} reminders")
