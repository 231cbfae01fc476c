"""Webhooks: subscriptions of tenants, and their deliveries to endpoints of others."""
