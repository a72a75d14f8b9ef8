"""Two-wheelers drawn by code: the built-in `sample` data set, and what spoils its pictures.

Everything but the vehicle (place, light, colours, camera, whether someone rides) comes from the seed alone:
a bicycle and a motorcycle of one seed share a scene, and only shape tells them apart. Lengths are fractions
of the picture's side: a seed gives the same picture at every size. Chance comes from `Generator.random`.

    palette, scenery, bicycle, motorcycle, rider  ->  picture: draw_image      corruption: corrupt
                         pen, chance: what they draw with
"""

from scones.data.drawing.corruption import CORRUPTIONS, corrupt
from scones.data.drawing.picture import SAMPLE_CLASSES, draw_image

__all__ = ["CORRUPTIONS", "SAMPLE_CLASSES", "corrupt", "draw_image"]
