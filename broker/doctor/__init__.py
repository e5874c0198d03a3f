"""What is wrong with an installation, found without a person: one idea a file, each check a sentence with its one-line mend.

Nothing here changes anything that the broker keeps, except that the canary's token is recorded in the audit trail (`canary`).
"""
