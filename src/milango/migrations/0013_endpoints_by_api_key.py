import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('milango', '0012_errands_and_no_index_for_the_unsent'),
    ]

    operations = [
        migrations.AddField(
            model_name='idempotencykey',
            name='made',
            field=models.UUIDField(help_text='What it stands for, where that is no payment.', null=True),
        ),
        migrations.AlterField(
            model_name='idempotencykey',
            name='payment',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='milango.payment'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('state', 'given_up')), fields=['endpoint', 'event_id'], name='deliveries_given_up'),
        ),
    ]
