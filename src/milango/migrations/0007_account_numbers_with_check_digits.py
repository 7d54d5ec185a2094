from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('milango', '0006_audit_end_and_heartbeats'),
    ]

    operations = [
        migrations.AddField(
            model_name='mpesacredential',
            name='checked_references',
            field=models.BooleanField(default=False, help_text='Payers type account numbers with check digits; others are refused or flagged.'),
        ),
    ]
