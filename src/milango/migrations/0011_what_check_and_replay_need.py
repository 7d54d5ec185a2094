import milango.models.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('milango', '0010_statements_are_imported'),
    ]

    operations = [
        migrations.CreateModel(
            name='CheckRun',
            fields=[
                ('id', models.UUIDField(default=milango.models.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(help_text='all, recent or nightly; or reread: callbacks', max_length=16)),
                ('version', models.CharField(help_text='Of Milango.', max_length=32)),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(blank=True, help_text='Empty: it was cut off.', null=True)),
                ('mark', models.CharField(blank=True, help_text='Table and key: all before it was looked at.', max_length=64)),
                ('payments', models.PositiveBigIntegerField(default=0, help_text='How many were looked at.')),
                ('wrong', models.PositiveBigIntegerField(default=0)),
                ('findings', models.JSONField(default=dict, help_text='By invariant: how many, and examples.')),
            ],
        ),
        migrations.AddField(
            model_name='inboundcallback',
            name='named_id',
            field=models.UUIDField(blank=True, editable=False, help_text='What its address was made for.', null=True),
        ),
        migrations.AddField(
            model_name='inboundcallback',
            name='replay_at',
            field=models.DateTimeField(blank=True, help_text='When it is read and settled again; empty: never.', null=True),
        ),
        migrations.AddField(
            model_name='inboundcallback',
            name='replays',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='inboundcallback',
            name='token_hash',
            field=models.CharField(blank=True, db_default='', editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name='paymentevent',
            name='told',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text='Endpoints that were subscribed when it happened.'),
        ),
        migrations.AddIndex(
            model_name='inboundcallback',
            index=models.Index(condition=models.Q(('replay_at__isnull', False)), fields=['replay_at'], name='callbacks_to_replay'),
        ),
        migrations.AddIndex(
            model_name='checkrun',
            index=models.Index(fields=['kind', '-id'], name='check_runs_by_kind'),
        ),
    ]
