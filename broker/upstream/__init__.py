"""The tie to the session at the identity provider: kept sealed, asked again when it is due, ended when the provider says so."""
