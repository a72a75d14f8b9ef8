"""Lays out the 20 unrelated pictures that `train.py --unrelated DIR` scores: no bicycle, no motorcycle.

    pip install scikit-image==0.26.0 scikit-learn==1.9.1      # in an environment of its own
    python benchmarks/unrelated.py DIR

They come inside those two packages, so nothing else is downloaded. A picture that is not byte for byte the
measured one ends the program with a sentence and exit code 1.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

# Package -> the folder of its pictures, and those that are taken.
PICTURES = {
    "skimage": (
        "data",
        "astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png "
        "color.png grass.png gravel.png hubble_deep_field.jpg ihc.png moon.png page.png "
        "retina.jpg rocket.jpg text.png",
    ),
    "sklearn": ("datasets/images", "china.jpg flower.jpg"),
}
# Of all of them, in the order of their names.
SHA256 = "9dee4ef624b5b234e0acc02f473575d5b3d061bcbec8c9f6a0a966e3ac2cf753"


def find_pictures() -> list[Path]:
    """The pictures within the installed packages, by name."""
    found = []
    for package, (folder, names) in PICTURES.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            sys.exit(f"{package} is not installed: see the head of this program.")
        found += [Path(spec.origin).parent / folder / name for name in names.split()]
    missing = [str(path) for path in found if not path.is_file()]
    if missing:
        sys.exit(f"This version has no {', '.join(missing)}; install the versions named above.")
    return sorted(found, key=lambda path: path.name)


def main(target: Path) -> None:
    """Copy the pictures to `target`, made if missing."""
    pictures = find_pictures()
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in pictures)).hexdigest()
    if digest != SHA256:
        sys.exit(f"The pictures hash to {digest}, not to {SHA256}; install the versions named above.")
    target.mkdir(parents=True, exist_ok=True)
    for path in pictures:
        shutil.copy(path, target)
    print(f"{len(pictures)} pictures in {target}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
