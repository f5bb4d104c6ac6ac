"""The context of a log record: which account, order or event it is about, as attributes for a structured formatter."""

from typing import Any


def about(**names: Any) -> dict[str, Any]:
    """
    Return the `extra` of a log call: `about(account="a")` becomes the attribute `oms_account` of the record.

    Names that are None are left out.
    """
    return {f"oms_{name}": value for name, value in names.items() if value is not None}
