import django.db.models.deletion
import milango.models.fields
import milango.models.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('milango', '0003_payments_are_asked_about_by_short_code'),
    ]

    operations = [
        migrations.CreateModel(
            name='CredentialState',
            fields=[
                ('credential', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='state', serialize=False, to='milango.mpesacredential')),
                ('next_pull_at', models.DateTimeField(blank=True, null=True)),
                ('pulled_until', models.DateTimeField(blank=True, help_text='Everything paid before this is known.', null=True)),
                ('pull_problem', models.CharField(blank=True, max_length=255)),
                ('initiator_refused_at', models.DateTimeField(blank=True, null=True)),
                ('initiator_problem', models.CharField(blank=True, max_length=255)),
                ('refused_version', models.PositiveIntegerField(default=0, help_text="The credential's version whose initiator was refused.")),
            ],
        ),
        migrations.CreateModel(
            name='StatusQuestion',
            fields=[
                ('id', models.UUIDField(default=milango.models.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('receipt', models.CharField(max_length=32)),
                ('why', models.CharField(help_text='claim, statement or operator', max_length=16)),
                ('token_hash', models.CharField(editable=False, max_length=64)),
                ('conversation_id', models.CharField(blank=True, max_length=128)),
                ('asked_at', models.DateTimeField()),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('verdict', models.CharField(blank=True, max_length=48)),
            ],
        ),
        migrations.AddField(
            model_name='mpesacredential',
            name='initiator_certificate',
            field=models.TextField(blank=True, help_text="Daraja's certificate (PEM) that the password is encrypted with."),
        ),
        migrations.AddField(
            model_name='mpesacredential',
            name='initiator_name',
            field=models.CharField(blank=True, help_text='API operator for Transaction Status; empty: none.', max_length=64),
        ),
        migrations.AddField(
            model_name='mpesacredential',
            name='initiator_password',
            field=milango.models.fields.EncryptedField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='mpesacredential',
            name='pull',
            field=models.BooleanField(default=False, help_text='Pull Transactions is on for this short code: ask hourly.'),
        ),
        migrations.AddField(
            model_name='receipt',
            name='credential',
            field=models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='milango.mpesacredential'),
        ),
        migrations.AddField(
            model_name='receipt',
            name='paid_at',
            field=models.DateTimeField(blank=True, help_text='UTC', null=True),
        ),
        migrations.AddField(
            model_name='receipt',
            name='phone',
            field=models.CharField(blank=True, db_default='', help_text='As written: whole, masked or hashed.', max_length=64),
        ),
        migrations.AddField(
            model_name='receipt',
            name='reference',
            field=models.CharField(blank=True, db_default='', max_length=64),
        ),
        migrations.AlterField(
            model_name='payment',
            name='account_reference',
            field=models.CharField(help_text='Asked: 12 characters. A payer may type 20.', max_length=20),
        ),
        migrations.AlterField(
            model_name='payment',
            name='requested_by',
            field=models.CharField(default='server', help_text='server, browser, or payer: paid unasked.', max_length=12),
        ),
        migrations.AddIndex(
            model_name='receipt',
            index=models.Index(condition=models.Q(('payment__isnull', True)), fields=['credential', 'created_at'], name='receipts_unmatched'),
        ),
        migrations.AddIndex(
            model_name='credentialstate',
            index=models.Index(condition=models.Q(('next_pull_at__isnull', False)), fields=['next_pull_at'], name='pulls_due'),
        ),
        migrations.AddField(
            model_name='statusquestion',
            name='credential',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='milango.mpesacredential'),
        ),
        migrations.AddField(
            model_name='statusquestion',
            name='payment',
            field=models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='status_questions', to='milango.payment'),
        ),
        migrations.AddIndex(
            model_name='statusquestion',
            index=models.Index(condition=models.Q(('answered_at__isnull', True)), fields=['credential', 'receipt'], name='status_questions_open'),
        ),
    ]
