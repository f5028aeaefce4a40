"""Named landmarks of the 478-point face mesh (MediaPipe Face Mesh's numbering).

"Left" is the picture's left. Lip rows run from the left corner of the mouth to the right one, eye contours from the
outer corner to the inner one, so that the two eyes are each other's mirror image.
"""

from dataclasses import dataclass

MESH_POINTS = 468  # the skin; the ten points after it are the irises

# Rows of the lips from the outer rim to the inner one, eleven points each, corners included.
UPPER_LIP_ROWS = (
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
)
LOWER_LIP_ROWS = (
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
)
UPPER_INNER, LOWER_INNER = UPPER_LIP_ROWS[-1], LOWER_LIP_ROWS[-1]
UPPER_OUTER, LOWER_OUTER = UPPER_LIP_ROWS[0], LOWER_LIP_ROWS[0]
UPPER_LIP = frozenset(index for row in UPPER_LIP_ROWS for index in row[1:-1])
LOWER_LIP = frozenset(index for row in LOWER_LIP_ROWS for index in row[1:-1])
LIP_MIDDLE = 5  # index of the philtrum in a lip row

BROW_TOPS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)  # upper rims of both brows, left to right
NOSE_BRIDGE, NOSE_TIP, NOSE_BASE, CHIN = 168, 1, 2, 152
FACE_EXTREMES = (10, 152, 234, 454)  # top, bottom, left, right

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

# Bare skin, the median colour of which is the complexion: cheeks, sides of the nose, chin.
SKIN_SPOTS = (50, 280, 205, 425, 187, 411, 18, 200, 152)
LIP_SPOTS = (11, 302, 72, 16, 85, 315, 15)


@dataclass(frozen=True)
class EyeLandmarks:
    """One eye's points.

    Attributes:
        upper: contour of the upper lid, outer to inner corner.
        lower: contour of the lower lid, outer to inner corner.
        brow: lower rim of the eyebrow.
        iris: centre, then four points of the iris' rim.
    """

    upper: tuple[int, ...]
    lower: tuple[int, ...]
    brow: tuple[int, ...]
    iris: tuple[int, ...]


LEFT_EYE = EyeLandmarks(
    upper=(33, 246, 161, 160, 159, 158, 157, 173, 133),
    lower=(33, 7, 163, 144, 145, 153, 154, 155, 133),
    brow=(46, 53, 52, 65, 55),
    iris=(468, 469, 470, 471, 472),
)
RIGHT_EYE = EyeLandmarks(
    upper=(263, 466, 388, 387, 386, 385, 384, 398, 362),
    lower=(263, 249, 390, 373, 374, 380, 381, 382, 362),
    brow=(276, 283, 282, 295, 285),
    iris=(473, 474, 475, 476, 477),
)
EYES = (LEFT_EYE, RIGHT_EYE)

# The landmark nearest in meaning to each of LivePortrait's 21 implicit keypoints, judged by its published sliders
# and templates: 1 and 2 brows, 3 and 7 cheeks, 11 and 15 eyes, 13 and 16 lower lids, 14 and 20 mouth corners,
# 17 upper lip, 19 lower lip; the others are spread over parts that hardly move.
KEYPOINT_LANDMARKS = (
    10, 105, 334, 205, 4, 127, 78, 425, 356, 152, 234, 159, 308, 145, 61, 386, 374, 0, 9, 17, 291,
)  # fmt: skip
