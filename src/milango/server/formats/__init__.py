"""How the admin of our server writes times. Django looks here by the name of the language."""
