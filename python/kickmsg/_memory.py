# SPDX-License-Identifier: Apache-2.0
"""Memory of the library that Python sees: it goes back when no view of it is left."""
from __future__ import annotations

import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ._native import ffi

if TYPE_CHECKING:
    from ._core import HandleCore


class Lent:
    """The memory of one sample, loan, request or reply. It goes back when no view of it is left."""

    __slots__ = ("core", "address", "size", "give_back", "taken", "keeps", "__weakref__")

    def __init__(self, core: HandleCore, address: Any, size: int, give_back: Callable[[Any], None]) -> None:
        self.core = core
        self.address = address
        self.size = size
        self.give_back = give_back
        self.taken = False  # True: it was sent, and is its receiver's
        self.keeps: object = None  # what has to live as long
        core.out[self] = None

    def view(self) -> memoryview:
        """A view whose end, with that of all views of it, is told to gone()."""
        return memoryview(ffi.buffer(ffi.gc(self.address, self.gone), self.size))

    def gone(self, _address: Any) -> None:
        if not self.taken:
            self.core.drop(self)


class InPlace:
    """A message that was received and is read where it lies."""

    __slots__ = ("_view",)
    _what = "sample"

    def __init__(self, core: HandleCore, address: Any, size: int, give_back: Callable[[Any], None]) -> None:
        lent = Lent(core, ffi.cast("void *", address), size, give_back)
        self._view: memoryview | None = lent.view().toreadonly()

    def __repr__(self) -> str:
        try:
            state = f"of {len(self.data)} bytes"
        except (OSError, ValueError) as failure:
            state = f"({failure})"
        return f"<kickmsg.{type(self).__name__} {state}>"

    @property
    def data(self) -> memoryview:
        if self._view is None:
            raise ValueError(f"the {self._what} is released")
        return self._view

    def numpy(self, dtype: Any = "uint8", shape: Any = -1) -> Any:
        """A read-only numpy array of the message, without a copy."""
        return as_array(self.data, dtype, shape)

    def __bytes__(self) -> bytes:
        return bytes(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def release(self) -> None:
        """Gives the message back: `data` raises ValueError from now on."""
        view, self._view = self._view, None
        if view is not None:
            release_view(view)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.release()


class Window:
    """The user's view of memory that is lent, until it is shut: then nobody may use it any more."""

    __slots__ = ("lent", "view", "_watched", "_readonly", "_what")

    def __init__(self, lent: Lent, what: str, readonly: bool = False) -> None:
        self.lent = lent
        self._what = what
        self._readonly = readonly
        self.view: memoryview | None = None
        self.open()

    def open(self) -> None:
        self._show(self.lent.view())

    def _show(self, view: memoryview) -> None:
        self._watched = weakref.ref(view.obj)
        self.lent.taken = False
        self.view = view.toreadonly() if self._readonly else view

    @property
    def data(self) -> memoryview:
        if self.view is None:
            raise ValueError(f"the {self._what} has ended")
        return self.view

    @property
    def memory(self) -> object:
        """The object that each view keeps."""
        return self._watched()

    def close(self) -> None:
        """The memory goes back with the last view."""
        view, self.view = self.view, None
        if view is not None:
            release_view(view)

    def shut(self) -> None:
        """Shuts the memory before it is sent. BufferError: a view or array is still there, and it stays open."""
        self.lent.taken = True  # the last view that goes doesn't give it back
        self.close()
        memory = self.memory
        if memory is not None:
            self._show(memoryview(memory))  # type: ignore[arg-type]
            raise BufferError(f"views of the {self._what} are still there")


def as_array(data: memoryview, dtype: Any, shape: Any) -> Any:
    import numpy
    return numpy.frombuffer(data, dtype).reshape(shape)


def release_view(view: memoryview) -> None:
    """The view can't be used any more, unless an array was made of it."""
    try:
        view.release()
    except BufferError:
        pass
