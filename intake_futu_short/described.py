"""What makes an Intake source a value: plain arguments that it prints, pickles and compares by."""

from __future__ import annotations

import json
from typing import Any

from intake.source.base import DataSource

__all__ = ["DescribedSource"]


class DescribedSource(DataSource):  # type: ignore[misc]  # Intake has no types
    """A source that its arguments, plain YAML values, describe wholly.

    Attributes
    ----------
    _arguments : dict
        All of them but metadata.
    _given_metadata : dict
        The caller's, without what the source adds to it.
    """

    _arguments: dict[str, Any]
    _given_metadata: dict[str, Any]

    def _describe(self, arguments: dict[str, Any], metadata: dict[str, Any]) -> None:
        self._arguments = arguments
        self._given_metadata = metadata
        # Intake prints, pickles, compares and copies sources by these.
        self._captured_init_args = ()
        self._captured_init_kwargs = {k: v for k, v in arguments.items() if v is not None}
        if metadata:
            self._captured_init_kwargs["metadata"] = metadata

    def _yaml(self) -> dict[str, Any]:
        arguments_given = dict(self._captured_init_kwargs)
        # Where a catalog lay is Intake's note for this process; it is of no use to others.
        metadata = {k: v for k, v in self._given_metadata.items() if k != "catalog_dir"}
        arguments_given.pop("metadata", None)
        return {
            "sources": {
                self.name: {
                    "driver": self.classname,
                    "description": self.description or "",
                    "metadata": metadata,
                    "args": arguments_given,
                }
            }
        }

    def __getstate__(self) -> dict[str, Any]:
        return {
            "args": (),
            "kwargs": self._captured_init_kwargs,
            "name": self.name,
            "description": self.description,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["kwargs"])  # type: ignore[misc]  # how Intake rebuilds its sources
        self.name = state["name"]
        self.description = state["description"]

    def _value(self) -> tuple[str, str]:
        """What it is compared by: two that differ in nothing but an order are the same."""
        return self.classname, json.dumps(self._arguments, sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DescribedSource) and self._value() == other._value()

    def __hash__(self) -> int:
        return hash(self._value())

    def __dask_tokenize__(self) -> object:
        return self._value()
