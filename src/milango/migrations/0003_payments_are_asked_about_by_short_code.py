from django.db import migrations, models
from django.db.models.functions import Now


def ask_about_the_forgotten(apps, schema_editor):
    """Before, a payment without any news was not asked about once its prompt had ended."""
    Payment = apps.get_model("milango", "Payment")
    OpenPrompt = apps.get_model("milango", "OpenPrompt")
    prompted = models.Exists(OpenPrompt.objects.filter(payment_id=models.OuterRef("pk")))
    Payment.objects.filter(
        ~prompted, status="Pending", next_check_at=None, sending_at__isnull=False
    ).update(next_check_at=Now())


class Migration(migrations.Migration):

    dependencies = [
        ('milango', '0002_settlement_touches_no_index'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='payment',
            name='payment_checks_due',
        ),
        migrations.AlterField(
            model_name='openprompt',
            name='phone',
            field=models.CharField(help_text='NULL: another prompt has taken the phone.', max_length=12, null=True),
        ),
        migrations.AddIndex(
            model_name='payment',
            index=models.Index(condition=models.Q(('next_check_at__isnull', False)), fields=['credential', 'next_check_at'], name='payment_checks_due_by_code'),
        ),
        migrations.RunPython(ask_about_the_forgotten, migrations.RunPython.noop, elidable=True),
    ]
