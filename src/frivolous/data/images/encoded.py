"""Examples that stay encoded on disk and are decoded when a batch needs them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from frivolous.data.images.decode import opened, processors
from frivolous.data.images.random_crop import central_crop, random_resized_crop
from frivolous.errors import BadArgument

Index = Tensor | slice


class Encoded(Protocol):
    """Image files by number, in a folder or in Parquet; safe to read from several threads."""

    def read(self, number: int) -> bytes:
        """Return the bytes of image file ``number``."""

    def name(self, number: int) -> str:
        """Return the name by which an error refers to it."""


@dataclass(frozen=True)
class EncodedExamples:
    """Labelled images of one source, decoded on demand; can be used in place of ``Examples``.

    Args:
        source: reads encoded images by their number.
        numbers: (N,) which images of the source these examples are.
        labels: (N,) integers from 0 upwards.
        size: height and width of the images it returns.
        workers: threads that decode; None takes one for each processor.
    """

    source: Encoded
    numbers: Tensor
    labels: Tensor
    size: int
    workers: int | None = None

    def __post_init__(self) -> None:
        if len(self.numbers) != len(self.labels):
            raise BadArgument(
                f"`labels` has {len(self.labels)} entries for {len(self.numbers)} images; give one "
                "label for each image."
            )
        if len(self.labels) == 0:
            raise BadArgument("`numbers` names no image; give at least one.")
        if self.size < 1 or (self.workers is not None and self.workers < 1):
            raise BadArgument(
                f"`size` {self.size} and `workers` {self.workers} must be at least 1 (or None for "
                "one worker for each processor)."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def inputs(self) -> StoredInputs:
        """The images as a test reads them, decoded when indexed: ``stored.inputs[0:8]``."""
        return StoredInputs(self)

    def take(self, index: Index, *, augment: bool = False, seed: int = 0, epoch: int = 0) -> Tensor:
        """Return images (B, 3, size, size) as bytes, decoded in parallel.

        Args:
            index: positions (B,) among the examples, or a slice of them.
            augment: random-resized crops, as in training; else central ones.
            seed, epoch: with the image's number, all that a random crop depends on: not on the
                batch, the order or the threads.

        Raises:
            BadArgument: an image is damaged.
        """
        return next(self.batches([index], augment=augment, seed=seed, epoch=epoch))[0]

    def batches(
        self,
        indices: Iterable[Index],
        *,
        augment: bool = False,
        seed: int = 0,
        epoch: int = 0,
        ahead: int = 2,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images, labels) of each batch, decoding the next ``ahead`` while one is used.

        Args and errors as :meth:`take`. Leaving the iterator early waits only for the images that
        are being decoded.
        """
        pool = ThreadPoolExecutor(self.workers or processors())
        waiting: deque[tuple[Index, list[Future[np.ndarray]]]] = deque()
        try:
            for index in indices:
                numbers = self.numbers[index].tolist()
                tasks = [pool.submit(self._image, n, augment, seed, epoch) for n in numbers]
                waiting.append((index, tasks))
                if len(waiting) > ahead:
                    yield self._finished(*waiting.popleft())
            while waiting:
                yield self._finished(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _image(self, number: int, augment: bool, seed: int, epoch: int) -> np.ndarray:
        name = self.source.name(number)
        image = opened(self.source.read(number), name)
        # ImageNet has grey and CMYK files among the others.
        image = image if image.mode == "RGB" else image.convert("RGB")
        if augment:
            return random_resized_crop(image, self.size, seed, epoch, number)
        return central_crop(image, self.size)

    def _finished(self, index: Index, tasks: list[Future[np.ndarray]]) -> tuple[Tensor, Tensor]:
        images = np.empty((len(tasks), 3, self.size, self.size), dtype=np.uint8)
        for place, task in enumerate(tasks):
            images[place] = task.result().transpose(2, 0, 1)
        return torch.from_numpy(images), self.labels[index]

    def first(self, count: int) -> EncodedExamples:
        """Return the first ``count`` examples."""
        return replace(self, numbers=self.numbers[:count], labels=self.labels[:count])

    def to(self, device: torch.device | str) -> EncodedExamples:
        """Return itself: files stay where they are, and batches are moved when they are made."""
        return self

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate as ``measure`` reads data: batches of (images, labels), centrally cropped."""
        return self.batches(torch.arange(len(self)).split(256))


@dataclass(frozen=True)
class StoredInputs:
    """A stand-in for the tensor of images, with the part of its interface that batches need."""

    stored: EncodedExamples
    dtype = torch.uint8
    device = torch.device("cpu")

    @property
    def shape(self) -> torch.Size:
        """(N, 3, size, size)."""
        return torch.Size((len(self.stored), 3, self.stored.size, self.stored.size))

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: Index) -> Tensor:
        return self.stored.take(index)

    def numel(self) -> int:
        """Return how many bytes the decoded images would fill."""
        return self.shape.numel()

    def element_size(self) -> int:
        """Return the bytes of one number."""
        return 1
