from typing import Any

import django.db.models.deletion
from django.db import migrations, models


# A run's row is updated in every step. With room left in its page PostgreSQL does that in place: no
# index is touched, and the old version goes when the page is next looked at.
ROOM = 80


def leave_room(apps: Any, schema_editor: Any) -> None:
    _alter(apps, schema_editor, f"SET (fillfactor = {ROOM})")


def leave_none(apps: Any, schema_editor: Any) -> None:
    _alter(apps, schema_editor, "RESET (fillfactor)")


def _alter(apps: Any, schema_editor: Any, how: str) -> None:
    if schema_editor.connection.vendor == "postgresql":
        table = apps.get_model("django_ai_workflows", "WorkflowRun")._meta.db_table
        schema_editor.execute(f"ALTER TABLE {schema_editor.quote_name(table)} {how}")


class Migration(migrations.Migration):

    dependencies = [
        ('django_ai_workflows', '0009_workflows_in_the_admin'),
    ]

    operations = [
        migrations.AddField(
            model_name='suspension',
            name='dispatched_at',
            field=models.DateTimeField(blank=True, help_text='When workers were last asked to end it.', null=True),
        ),
        migrations.AlterField(
            model_name='stepexecution',
            name='run',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='step_executions', to='django_ai_workflows.workflowrun'),
        ),
        migrations.RunPython(leave_room, leave_none),
    ]
