"""How a policy is improved: exactly, as a table, and as a neural agent.

The names are in the stub, and what they name is imported when first asked for: exact steps do without torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
