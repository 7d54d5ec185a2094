import django.db.models.deletion
import milango.models.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('milango', '0011_what_check_and_replay_need'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='payment',
            name='payment_never_sent',
        ),
        migrations.CreateModel(
            name='Errand',
            fields=[
                ('id', models.UUIDField(default=milango.models.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('statement', 'compare a statement'), ('callbacks', 'process callbacks again'), ('webhooks', 'deliver webhooks again')], max_length=16)),
                ('key', models.CharField(editable=False, help_text='The same kind and key are the same errand.', max_length=128)),
                ('name', models.CharField(help_text='As people are shown it.', max_length=160)),
                ('actor', models.CharField(max_length=80)),
                ('params', models.JSONField(default=dict)),
                ('content', models.BinaryField(help_text='A file. NULL once the errand has ended.', null=True)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('working', 'Working'), ('done', 'Done'), ('refused', 'refused: it cannot be done'), ('failed', 'given up after several tries')], default='waiting', editable=False, max_length=8)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('step', models.CharField(blank=True, max_length=60)),
                ('done', models.PositiveIntegerField(default=0)),
                ('total', models.PositiveIntegerField(null=True)),
                ('result', models.JSONField(default=dict)),
                ('refusal', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(help_text='UTC')),
                ('touched_at', models.DateTimeField(help_text='Its last sign of life, UTC')),
                ('ended_at', models.DateTimeField(help_text='UTC', null=True)),
                ('merchant', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='milango.merchant')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('ended_at__isnull', True)), fields=['touched_at'], name='errands_under_way')],
                'constraints': [models.UniqueConstraint(fields=('kind', 'key'), name='one_errand_per_kind_and_key')],
            },
        ),
    ]
