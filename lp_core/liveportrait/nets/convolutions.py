"""Convolutions with less arithmetic than direct ones, equal up to rounding.

LivePortrait's networks spend nearly all of their time in convolutions, and some can be computed with less: those of
a picture just enlarged by repetition, the 7 × 7 × 7 one of the motions' masks, and those of many channels.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Tap = tuple[slice, Tensor, tuple[int, int]]


class RepeatedConvolution(nn.Module):
    """A 3 × 3 convolution of a picture whose height and width were enlarged by repetition, without enlarging it.

    Where every pixel is repeated `repeat` times, a kernel's three taps fall on two pixels at a block's ends and
    on one within it, so that taps on the same pixel are added up beforehand:

        enlarged   | a a a a | b b b b | c c c c |
        first            └─┴─┘                       w0 a + (w1 + w2) b
        within               └─┴─┘                   (w0 + w1 + w2) b
        last                     └─┴─┘               (w0 + w1) b + w2 c

    Two-fold that is 16 instead of 36 products for a block of 2 × 2 pixels, four-fold 25 instead of 144 for one of
    4 × 4. Depth, where there is one, is not enlarged and keeps its three taps.

    Args:
        weight: (outputs, inputs, 3, 3) or (outputs, inputs, 3, 3, 3).
        bias: (outputs,).
        repeat: repetitions of every pixel per axis, 2 or more.
    """

    def __init__(self, weight: Tensor, bias: Tensor, repeat: int) -> None:
        super().__init__()
        self.repeat = repeat
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.kernels = nn.ParameterList()
        self._places: list[tuple[slice, slice]] = []
        self._paddings: list[tuple[int, int, int, int]] = []
        for rows, across, above in _taps(weight, -2, repeat):
            for columns, kernel, beside in _taps(across, -1, repeat):
                self.kernels.append(nn.Parameter(kernel.contiguous(), requires_grad=False))
                self._places.append((rows, columns))
                self._paddings.append((*beside, *above))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, ..., H, W) to (B, outputs, ..., repeat · H, repeat · W)."""
        dims = x.ndim - 2
        convolve = F.conv3d if dims == 3 else F.conv2d
        size = (x.shape[0], len(self.bias), *x.shape[2:-1], self.repeat, x.shape[-1], self.repeat)
        enlarged = x.new_empty(size)
        for kernel, (rows, columns), padding in zip(self.kernels, self._places, self._paddings, strict=True):
            part = convolve(F.pad(x, padding), kernel, self.bias, padding=(1, 0, 0) if dims == 3 else 0)
            enlarged[..., rows, :, columns] = part[..., None, :, None]
        return enlarged.flatten(-4, -3).flatten(-2, -1)


def _taps(weight: Tensor, axis: int, repeat: int) -> Iterator[Tap]:
    """Yields pixels of a block, the taps that act there along one axis, and the padding before and after it."""
    before, here, after = weight.unbind(axis)
    yield slice(0, 1), torch.stack([before, here + after], axis), (1, 0)
    if repeat > 2:
        yield slice(1, repeat - 1), (before + here + after).unsqueeze(axis), (0, 0)
    yield slice(repeat - 1, repeat), torch.stack([before + here, after], axis), (0, 1)


class FourierHeads(nn.Module):
    """The masks' 7 × 7 × 7 and the occlusion's 7 × 7 convolution of one volume, as products of spectra.

    Height and width are cut into tiles, each is transformed with its surroundings, and both convolutions become
    products of small matrices at every frequency; the taps along depth are added as in `blocks.SlicedConv3d`. On a
    CPU, in single precision, it takes a quarter of the time; the spectra take about 160 MB.

    Source: Mathieu, Henaff and LeCun 2014, "Fast training of convolutional networks through FFTs"; tiles by
    overlap-save (Oppenheim and Schafer, "Discrete-time signal processing", section 8.7).

    Args:
        mask: the convolution of the volume (B, C, D, H, W).
        occlusion: the 2-D convolution of its slices taken for channels (B, C · D, H, W).
    """

    TILE = 32  # pixels a side
    mask_spectrum: Tensor
    occlusion_spectrum: Tensor

    def __init__(self, mask: nn.Conv3d, occlusion: nn.Conv2d) -> None:
        super().__init__()
        self.motions, self.taps = mask.out_channels, mask.kernel_size[0]
        self.side = self.TILE + 8  # a tile and its surroundings, at a length that transforms fast
        channels = mask.in_channels
        by_slice = occlusion.weight.reshape(channels, -1, *occlusion.kernel_size)
        mask_spectrum, occlusion_spectrum = self._spectrum(mask.weight), self._spectrum(by_slice)
        mask_spectrum = mask_spectrum.permute(3, 4, 1, 2, 0).flatten(3).flatten(0, 1)
        occlusion_spectrum = occlusion_spectrum.permute(2, 3, 1, 0).flatten(2).flatten(0, 1)
        # stored as pairs of real numbers: Module.to(dtype) would drop the imaginary parts of complex ones
        self.register_buffer("mask_spectrum", torch.view_as_real(mask_spectrum))
        self.register_buffer("occlusion_spectrum", torch.view_as_real(occlusion_spectrum))
        self.mask_bias = nn.Parameter(bias_of(mask), requires_grad=False)
        self.occlusion_bias = nn.Parameter(bias_of(occlusion), requires_grad=False)

    def forward(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """The masks' logits (B, motions, D, H, W) and the occlusion's (B, 1, H, W) for (B, C, D, H, W), float32."""
        spectra, tiles = self._tiles(volume.float())  # (frequencies, B · tiles, D, C)
        frequencies, places, depth, _ = spectra.shape
        blocks = torch.bmm(spectra.flatten(1, 2), torch.view_as_complex(self.mask_spectrum.float())).reshape(
            frequencies, places, depth, self.taps, self.motions
        )
        reach = self.taps // 2
        blocks = F.pad(blocks, (0, 0) * 2 + (reach, reach))
        logits = torch.stack([blocks[:, :, tap : tap + depth, tap] for tap in range(self.taps)]).sum(0)
        hidden = torch.bmm(spectra.flatten(2), torch.view_as_complex(self.occlusion_spectrum.float())[..., None])
        masks = self._joined(logits.flatten(2), tiles, volume.shape).unflatten(1, (depth, self.motions))
        occlusion = self._joined(hidden, tiles, volume.shape)
        return (
            masks.transpose(1, 2) + self.mask_bias.reshape(-1, 1, 1, 1),
            occlusion + self.occlusion_bias.reshape(-1, 1, 1),
        )

    def _spectrum(self, kernels: Tensor) -> Tensor:
        """Spectra (..., side, side // 2 + 1) that correlate with kernels (..., 7, 7)."""
        return torch.fft.rfft2(kernels.float(), s=(self.side, self.side)).conj().resolve_conj()

    def _tiles(self, volume: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Spectra (frequencies, B · rows · columns, D, C) of all tiles, and the numbers of rows and columns."""
        height, width = volume.shape[-2:]
        reach = self.taps // 2
        rows, columns = -(-height // self.TILE), -(-width // self.TILE)
        beyond = self.side - self.TILE - reach
        below, right = rows * self.TILE - height + beyond, columns * self.TILE - width + beyond
        padded = F.pad(volume, (reach, right, reach, below))
        tiles = padded.unfold(-2, self.side, self.TILE).unfold(-2, self.side, self.TILE)  # B, C, D, rows, columns
        spectra = torch.fft.rfft2(tiles.permute(0, 3, 4, 2, 1, 5, 6))
        return spectra.flatten(-2).flatten(0, 2).permute(3, 0, 1, 2).contiguous(), (rows, columns)

    def _joined(self, spectra: Tensor, tiles: tuple[int, int], shape: torch.Size) -> Tensor:
        """Pictures (B, N, H, W) from spectra (frequencies, B · rows · columns, N)."""
        rows, columns = tiles
        halves = spectra.permute(1, 2, 0).unflatten(-1, (self.side, -1))
        pixels = torch.fft.irfft2(halves, s=(self.side, self.side))[..., : self.TILE, : self.TILE]
        grid = pixels.unflatten(0, (shape[0], rows, columns)).permute(0, 3, 1, 4, 2, 5)
        return grid.flatten(4).flatten(2, 3)[..., : shape[-2], : shape[-1]]


class WinogradConvolution(nn.Module):
    """A convolution that keeps the size, 3 × 3 in height and width, by a quarter of the products.

    36 products make 4 × 4 pixels, not 144; depth, where there is one, keeps its taps. Rounding errors are some ten
    times those of direct convolution in float32, and thousandths of bfloat16's. For a hundred channels and more on
    a CPU it takes half the time of direct convolution, as much as bfloat16.

    Source: Lavin and Gray 2016, "Fast algorithms for convolutional neural networks", F(4 × 4, 3 × 3):
    Y = A' [ (G g G') ∘ (B' d B) ] A, here with each pair of small matrices as one Kronecker product.
    """

    TILE, PATCH = 4, 6  # pixels a side of the output and of the input of a tile
    BAND = 64  # rows processed at once
    WIDE, WIDE_IN_HALF = 64, 512  # channels in and out from which it is faster than single and half precision
    INPUT = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
             (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1))  # fmt: skip
    KERNEL = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # in 24ths
    OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
    kernels: Tensor
    to_products: Tensor
    from_products: Tensor

    def __init__(self, convolution: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        weight = convolution.weight.double()
        by_depth = weight if weight.ndim == 5 else weight[:, :, None]
        of_kernel = torch.tensor(self.KERNEL, dtype=torch.float64) / 24
        kernels = torch.einsum("ai,bj,octij->taboc", of_kernel, of_kernel, by_depth).flatten(1, 2)
        self.register_buffer("kernels", kernels.to(convolution.weight.dtype).contiguous())
        self.register_buffer("to_products", _squared(self.INPUT).reshape(-1, 1, self.PATCH, self.PATCH))
        self.register_buffer("from_products", _squared(self.OUTPUT))
        self.bias = nn.Parameter(bias_of(convolution), requires_grad=False)

    @classmethod
    def suits(cls, convolution: nn.Conv2d | nn.Conv3d, half: bool) -> bool:
        """Whether this is faster on a CPU than direct convolution, in half precision or not."""
        channels = min(convolution.in_channels, convolution.out_channels)
        return set(convolution.kernel_size) == {3} and channels >= (cls.WIDE_IN_HALF if half else cls.WIDE)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, ..., H, W) to (B, outputs, ..., H, W); few slices and rows are processed at once."""
        height, width = x.shape[-2:]
        volumes = x if x.ndim == 5 else x[:, :, None]
        padded = F.pad(volumes, (1, 1 + -width % self.TILE, 1, 1 + -height % self.TILE))
        bands = [padded[..., top : top + self.BAND + 2, :] for top in range(0, height, self.BAND)]
        frames = [torch.cat([self._convolved(part) for part in parts], 2) for parts in zip(*bands, strict=True)]
        pixels = torch.stack(frames)[..., :height, :width] + self.bias.reshape(-1, 1, 1, 1)
        return pixels if x.ndim == 5 else pixels[:, :, 0]

    def _convolved(self, volume: Tensor) -> Tensor:
        """A band (inputs, D, H + 2, W + 2) of one frame to (outputs, D, H, W), without bias."""
        taps = len(self.kernels)
        patches = (self._patches(part) for part in volume.unbind(1))
        near = deque([None] * (taps - taps // 2) + list(islice(patches, taps // 2)), maxlen=taps)
        slices = []
        for _ in range(volume.shape[1]):
            near.append(next(patches, None))
            slices.append(self._pixels(self._products(near), volume.shape[-1] // self.TILE))
        return torch.stack(slices, 1)

    def _patches(self, x: Tensor) -> Tensor:
        """B' d B of every tile of a slice (inputs, H + 2, W + 2): (36, inputs, tiles)."""
        return F.conv2d(x[:, None], self.to_products, stride=self.TILE).flatten(2).transpose(0, 1)

    def _products(self, near: Iterable[Tensor | None]) -> Tensor:
        """The sum of the products of the slices at the depth taps: (36, outputs, tiles)."""
        standing = ((kernel, part) for kernel, part in zip(self.kernels, near, strict=True) if part is not None)
        (kernel, patches), *others = standing
        total = torch.bmm(kernel, patches)
        for kernel, patches in others:
            total.baddbmm_(kernel, patches)
        return total

    def _pixels(self, products: Tensor, columns: int) -> Tensor:
        """The slice (outputs, H, W), of `columns` tiles per row, from products (36, outputs, tiles)."""
        tiles = torch.mm(self.from_products, products.flatten(1))
        pixels = tiles.reshape(self.TILE, self.TILE, len(self.bias), -1, columns).permute(2, 3, 0, 4, 1)
        return pixels.flatten(3).flatten(1, 2)


def bias_of(convolution: nn.Conv2d | nn.Conv3d) -> Tensor:
    """A convolution's bias (outputs,); zeros where it has none."""
    if convolution.bias is not None:
        return convolution.bias
    return convolution.weight.new_zeros(convolution.out_channels)


def _squared(matrix: tuple[tuple[int, ...], ...]) -> Tensor:
    """The matrix that acts on flattened squares as `matrix` does on both of their axes."""
    return torch.kron(*[torch.tensor(matrix, dtype=torch.float32)] * 2)
