from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('milango', '0008_webhooks_are_sent'),
    ]

    operations = [
        migrations.CreateModel(
            name='ClockRound',
            fields=[
                ('name', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('due_at', models.DateTimeField()),
                ('begun_at', models.DateTimeField(blank=True, null=True)),
                ('times', models.PositiveBigIntegerField(default=0)),
            ],
        ),
    ]
