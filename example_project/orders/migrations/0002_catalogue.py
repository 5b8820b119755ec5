"""What the shop sells from the first day."""

from django.db import migrations

CATALOGUE = [("Notebook", "4.50"), ("Desk lamp", "49.00"), ("Chair", "189.00"), ("Workbench", "1290.00")]
STOCK = 1000


def fill(apps, schema_editor):
    product = apps.get_model("orders", "Product")
    for name, price in CATALOGUE:
        product.objects.get_or_create(name=name, defaults={"price": price, "stock": STOCK})


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
