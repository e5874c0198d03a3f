"""The contract of OpenID providers, one rule a test. A test module imports everything here and supplies the fixture `case`.

Faults come from the scripted provider; every refusal goes through `Case.refusal`, which looks that nothing upstream leaks.
"""

from tests.providers.contract_discovery import *  # noqa: F403 - the tests
from tests.providers.contract_id_token import *  # noqa: F403 - the tests
from tests.providers.contract_keys import *  # noqa: F403 - the tests
from tests.providers.contract_response import *  # noqa: F403 - the tests
from tests.providers.contract_token import *  # noqa: F403 - the tests
from tests.providers.contract_userinfo import *  # noqa: F403 - the tests
