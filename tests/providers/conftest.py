"""The contract suite's asserts explain themselves like those of a test module; properties are judged by truth, not by the clock."""

import pytest

_PARTS = (
    *("discovery", "id_token", "keys", "response", "token", "userinfo"),
    *("client_auth", "diagnosis", "ending", "logout", "refresh", "revocation"),
)
pytest.register_assert_rewrite("tests.providers.case", *(f"tests.providers.contract_{part}" for part in _PARTS))
