"""From an approved request to a code: sessions, the consent page, refusals, approvals (architecture, section 4)."""
