"""Milango: a self-hosted M-Pesa gateway for many merchants in one installation."""

__version__ = "0.1.0"
