"""What other implementations print for one evaluation, for the tests to compare with.

    python scripts/peer_values.py                      # installs them into build/peers; PyTorch is large
    python scripts/peer_values.py --python other/bin/python   # an environment that has them

Runs the published packages `pastiche` and `neural-style` (PyPI) in an environment of their own, on 256×256 crops of
built-in pictures (content, style, a third one as start) and on the built-in weights, and writes every term of their
loss, as they weight it, to tests/peer_values.json.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import torch
from PIL import Image

from nst_lab.images import catalog
from nst_lab.network.weights import load_weights

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("pastiche==1.6.0", "neural-style==0.5.7", "torch", "torchvision", "numpy", "pillow")
PICTURES = {"content": "chelsea", "style": "starry_strokes", "style2": "woodcut_waves", "init": "coffee"}
SIZE = 256
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
# Index of each convolution in torchvision's `features`, which neural-style's model files share.
POSITIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)

PASTICHE = """
import json
from pastiche.pastiche import PasticheArtist

def loss(styles=("style.png",), **options):
    return PasticheArtist("content.png", styles, init="init.png", device="cpu", **options).loss

layers = dict(zip(LAYERS, (64, 128, 256, 512, 512)))
nothing = {"content_weight": 0, "style_weights": [0, 0]}
one = lambda name: [10 / n**2 if name == layer else 0 for layer, n in layers.items()]
terms = {f"style/{name}": loss(content_weight=0, style_layer_weights=one(name)) for name in layers}
terms["content/relu4_2"] = loss(style_weights=[0])
terms["tv"] = loss(**nothing, tv_weight=100)
terms["total"] = loss(tv_weight=100)
terms["style, two equal"] = loss(("style.png", "style2.png"), content_weight=0)
terms["style, two weighted"] = loss(("style.png", "style2.png"), content_weight=0, style_weights=[2, 0.5])
print(json.dumps(terms))
"""


def main() -> None:
    """Set up, run both, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, help="the Python of an environment that has both packages")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "tests" / "peer_values.json")
    options = parser.parse_args()
    python = (options.python or environment(CHECKOUT / "build" / "peers")).absolute()
    with tempfile.TemporaryDirectory() as folder:
        pictures = write_pictures(Path(folder))
        values = {
            "pictures": {name: pixel_hash(path) for name, path in pictures.items()},
            "pastiche": pastiche(python, Path(folder)),
            "neural_style": neural_style(python, Path(folder)),
        }
    options.output.write_text(json.dumps(values, indent=2) + "\n")
    print(f"{options.output}: {', '.join(values)}")


def environment(folder: Path) -> Path:
    """The Python of a virtual environment that has the packages; made on first use."""
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def write_pictures(folder: Path) -> dict[str, Path]:
    """The built-in pictures' upper left corners as PNG: cropping, unlike resizing, is the same everywhere."""
    paths = {}
    for name, image in PICTURES.items():
        paths[name] = folder / f"{name}.png"
        with Image.open(catalog.locate(image)) as picture:
            picture.convert("RGB").crop((0, 0, SIZE, SIZE)).save(paths[name])
    return paths


def pixel_hash(path: Path) -> str:
    """The sha256 of a picture's pixels."""
    with Image.open(path) as picture:
        return hashlib.sha256(picture.tobytes()).hexdigest()


def pastiche(python: Path, folder: Path) -> dict[str, float]:
    """Each term of pastiche's loss alone, times its default weight (TV: 100), and some sums."""
    code = PASTICHE.replace("LAYERS", repr(STYLE_LAYERS), 1)
    return json.loads(_run([python, "-c", code], folder).splitlines()[-1])


def neural_style(python: Path, folder: Path) -> dict[str, float]:
    """The weighted losses that neural-style prints at its first evaluation; TV, which it does not, as a total alone."""
    write_caffe_layout(folder / "vgg19.pth")
    terms = _first_evaluation(python, folder)
    only_tv = _first_evaluation(python, folder, content_weight=0, style_weight=0)
    return terms | {"tv": only_tv["total"]}


def _first_evaluation(python: Path, folder: Path, **weights: float) -> dict[str, float]:
    options = {
        "content_image": "content.png", "style_image": "style.png", "init": "image", "init_image": "init.png",
        "image_size": SIZE, "gpu": "c", "model_file": "vgg19.pth", "num_iterations": 1, "print_iter": 1,
        "output_image": "out.png",
    } | weights  # fmt: skip
    arguments = [text for key, value in options.items() for text in (f"-{key}", str(value))]
    code = "from neural_style.neural_style import main; main()"
    printed = _run([python, "-c", code, "-disable_check", *arguments], folder)
    first = printed.partition("Iteration 1 / 1")[2].partition("Iteration")[0]
    content, *styles = (float(value) for value in re.findall(r"(?:Content|Style) \d+ loss: (\S+)", first))
    total = float(re.search(r"Total loss: (\S+)", first)[1])
    terms = {"content/relu4_2": content, "total": total}
    return terms | {f"style/{layer}": value for layer, value in zip(STYLE_LAYERS, styles, strict=True)}


def write_caffe_layout(path: Path) -> None:
    """The built-in weights as neural-style's model files have them: torchvision's names, first kernel in BGR order."""
    tensors = {}
    for position, (name, kernel) in zip(POSITIONS, load_weights("caffe").kernels.items(), strict=True):
        weight = kernel.weight.flip(1) if name == "conv1_1" else kernel.weight
        tensors |= {f"features.{position}.weight": weight.contiguous(), f"features.{position}.bias": kernel.bias}
    torch.save(tensors, path)


def _run(command: list, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"peer_values: {command[0]} failed:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
