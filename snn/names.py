"""What the names in a Brian2 text stand for."""

from collections.abc import Mapping
from typing import Any

from brian2 import Subgroup
from brian2.core.variables import Subexpression, Variable
from brian2.groups.group import Group
from brian2.utils.stringtools import get_identifiers

from snn.statements import assigned


def whole(group: Group) -> Group:
    """The group of which this is a part, or itself."""
    return group.source if isinstance(group, Subgroup) else group


def resolved(group: Group, namespace: Mapping[str, Any], code: str, *expressions: str) -> dict[str, Variable]:
    """Every name in statements and expressions, and in the subexpressions that they lead to.

    Raises KeyError for a name that neither the group nor the namespace knows.
    """
    found: dict[str, Variable] = {}
    names = get_identifiers("\n".join((code, *expressions))) - (assigned(code) - set(group.variables))
    while names:
        found |= group.resolve_all(names, namespace)
        inner = (found[name].expr for name in names if isinstance(found[name], Subexpression))
        names = get_identifiers("\n".join(inner)) - set(found)
    return found
