import django.db.models.deletion
import milango.models.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('milango', '0004_money_that_nobody_prompted_for'),
    ]

    operations = [
        migrations.CreateModel(
            name='OperatorWord',
            fields=[
                ('id', models.UUIDField(default=milango.models.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('outcome', models.CharField(help_text='paid, failed, reversed or voided', max_length=10)),
                ('receipt', models.CharField(blank=True, max_length=32)),
                ('reason', models.CharField(max_length=255)),
                ('amount', models.DecimalField(decimal_places=2, max_digits=14)),
                ('spoken_by', models.CharField(max_length=80)),
                ('spoken_at', models.DateTimeField()),
                ('approved_by', models.CharField(blank=True, max_length=80)),
                ('applied_at', models.DateTimeField(blank=True, null=True)),
                ('merchant', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='milango.merchant')),
                ('payment', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='operator_words', to='milango.payment')),
            ],
            options={
                'indexes': [models.Index(fields=['spoken_by', 'spoken_at'], name='words_of_an_operator')],
            },
        ),
    ]
