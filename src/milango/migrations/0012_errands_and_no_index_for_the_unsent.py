from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('milango', '0011_what_check_and_replay_need'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='payment',
            name='payment_never_sent',
        ),
    ]
