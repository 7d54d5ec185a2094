"""A Daraja in a box: OAuth, STK push and STK query as Safaricom's gateway speaks them.

It stands alone. It imports nothing of the gateway and nothing of the gateway imports it: a twin
that shared our parser would share our mistakes. Any software may be pointed at it, over HTTP.
"""
