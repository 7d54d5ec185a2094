"""System checks: wrong settings are said at boot, not at the first payment."""
