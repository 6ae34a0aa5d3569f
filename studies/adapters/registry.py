"""The agents that can be put through the audit, by name."""

from __future__ import annotations

from functools import partial
from typing import Any

from studies.adapters.protocol import Agent
from studies.own_modules import imported

AGENTS = {
    "ours": "studies.adapters.ours:train",
    "sb3": "studies.adapters.sb3:train",
    "tianshou": "studies.adapters.tianshou:train",
    "notebook": "studies.adapters.notebook:train",
}
"""Where each agent's function is; imported when it is asked for, so that a package is needed only by who uses it."""

INSTALL = {
    "sb3_contrib": "pip install -e .[audit]",
    "stable_baselines3": "pip install -e .[audit]",
    "torch": "pip install -r requirements.txt",
    "tianshou": "pip install tianshou==2.0.1 (in an environment of its own: it needs pandas below 3)",
}


def agent(name: str, **options: Any) -> Agent:
    """Return an agent by its name in :data:`AGENTS`, or one of your own as "module:function".

    Your module is looked for in the working directory or wherever Python finds it.

    Parameters
    ----------
    name
        Of the agent.
    options
        Hyper-parameters, handed to the function at every call.

    Raises
    ------
    ValueError
        If there is no such agent, or a module of yours that it names is not there or cannot be imported.
    ImportError
        If a package that it needs is not installed; the message says which, and how to install it.
    """
    module, _, function = AGENTS.get(name, name).partition(":")
    if not function:
        raise ValueError(f"unknown agent {name!r}; expected one of {', '.join(AGENTS)}, or your own as 'module:function'")
    try:
        found = getattr(imported(module, f"agent {name!r}"), function)
    except ValueError as error:
        cause = error.__cause__
        missing = str(cause.name).partition(".")[0] if isinstance(cause, ModuleNotFoundError) else ""
        if missing not in INSTALL:
            raise
        raise ImportError(f"agent {name!r} needs the package {missing}, which is not installed: {INSTALL[missing]}") from cause
    except AttributeError:
        raise ValueError(f"agent {name!r}: the module {module} has no {function!r}") from None
    return partial(found, **options)
