"""`milango demo`: a gateway, a simulated M-Pesa and a page to pay on, in one process."""
