"""A folder of images as pixels 0…255 of the input's size; a subfolder a class, as Keras reads them.

    photos/                      photos/
      a.jpg                        cats/  a.jpg …      label 0
      b.png   no labels            dogs/  b.png …      label 1
"""
import os
import struct

import numpy as np

from tfold.errors import BadInputError, one_line
from tfold.folders import files_below, subfolders
from tfold.quiet import quiet

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
MOST_PIXELS = 200_000_000  # 600 MB: the largest cameras make as many


def read_images(folder, inputs, most, rng, resize, scaling):
    """Decode a random part of a folder's images.

    Args:
        folder: a `Path`.
        inputs: of the model: one, of a fixed height and width, with one channel or three.
        most: how many images at most; only these are read.
        rng: of the choice.
        resize: "stretch" or "crop".
        scaling: (the scale that was told or None, whether the model scales its input itself).

    Returns:
        (name of the input → pixels `(n, height, width, channels)`, labels or None, how many images there are)
    """
    wanted = _checked_input(inputs, folder, *scaling)
    paths = [path for path in files_below(folder) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise BadInputError(
            f"A folder of representative images holds {', '.join(SUFFIXES)} files. Received: {folder}, which has none. "
            "Check the path."
        )
    labels = _labels(folder, paths)
    chosen = rng.permutation(len(paths))[:most]
    pixels = np.empty((len(chosen), *wanted.shape), "float32" if wanted.is_float else wanted.dtype)
    with quiet():
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        with tf.device("CPU"):
            for image, index in zip(pixels, chosen, strict=True):
                decoded = _resized(tf, _decoded(tf, paths[index], wanted.shape[-1]), wanted.shape[:2], resize)
                image[...] = decoded if wanted.is_float else np.round(decoded)
    return {wanted.name: pixels}, None if labels is None else labels[chosen], len(paths)


def _checked_input(inputs, folder, scale, scales_itself):
    if len(inputs) > 1:
        raise BadInputError(
            f"A folder of images is for models of one input. Received: {folder} and {len(inputs)} inputs. "
            "Pass a .npz file with an array for each."
        )
    [wanted] = inputs
    if len(wanted.shape) != 3 or wanted.shape[-1] not in (1, 3):
        raise BadInputError(
            f"Images become (height, width, 1 or 3). Received: {folder}, and input {wanted.name!r} takes "
            f"{wanted.shape}. Pass a .npz file with what the model takes."
        )
    if wanted.is_float and scale is None and not scales_itself:
        raise BadInputError(
            f"Images are scaled as told, not by guessing. Received: {folder} without a scale, and the model has no "
            f"Rescaling or Normalization of input {wanted.name!r}. Say what pixels 0 and 255 become, as in its "
            "training: scale=(0, 1), scale=(-1, 1) or scale=(0, 255); --scale=-1,1."
        )
    if not wanted.is_float and wanted.dtype != "uint8":
        raise BadInputError(
            f"Pixels are floats or uint8. Received: {folder}, and input {wanted.name!r} takes {wanted.dtype}. "
            "Pass a .npz file with what the model takes."
        )
    return wanted


def _labels(folder, paths):
    """The number of each image's class folder, as keras.utils.image_dataset_from_directory has it, or None."""
    classes = subfolders(folder)
    parts = [path.relative_to(folder).parts for path in paths]
    if len(classes) < 2 or any(len(each) == 1 for each in parts):
        return None
    number = {name: i for i, name in enumerate(classes)}
    return np.array([number[each[0]] for each in parts])


def _decoded(tf, path, channels):
    """uint8 `(height, width, channels)`; of an animation the first frame, without transparency."""
    try:
        content = path.read_bytes()
        _check_size(tf, path, content)
        # JPEG brings its own grey channel, which Keras reads too; GIF and BMP can only be decoded as they are.
        as_it_is = content.startswith((b"GIF", b"BM"))
        image = tf.io.decode_image(content, 0 if as_it_is else channels, expand_animations=False)
    except BadInputError:
        raise
    except Exception as error:  # TensorFlow's errors come in many classes, and the file may not be ours to read
        raise BadInputError(
            f"Every image must be whole. Received: {path}, which is damaged or no image "
            f"({one_line(str(error).split(' [Op:')[0])[:-1]}). Replace it, or take it out of the folder."
        ) from error
    if as_it_is:
        image = tf.image.grayscale_to_rgb(image) if image.shape[-1] == 1 else image[..., :3]  # a BMP may be transparent
        image = tf.image.rgb_to_grayscale(image) if channels == 1 else image
    return image


def _check_size(tf, path, content):
    """Raise `BadInputError` for a picture that takes far more memory than a photo does, as its header tells."""
    if content.startswith(b"\x89PNG"):
        width, height = struct.unpack_from(">II", content, 16)
    elif content.startswith(b"GIF"):
        width, height = struct.unpack_from("<HH", content, 6)
    elif content.startswith(b"BM"):
        width, height = map(abs, struct.unpack_from("<ii", content, 18))
    else:
        height, width = tf.io.extract_jpeg_shape(content).numpy()[:2]
    if int(width) * int(height) > MOST_PIXELS:
        raise BadInputError(
            f"Representative images have at most {MOST_PIXELS:,} pixels. Received: {path} of {width} × {height}. Make "
            "it smaller, or take it out of the folder.")


def _resized(tf, image, size, resize):
    """float32, bilinear; "crop" first takes the largest middle part of the input's proportions."""
    if resize == "crop":
        (height, width), (high, wide) = image.shape[:2], size
        h, w = min(height, max(1, int(width * high / wide))), min(width, max(1, int(height * wide / high)))
        top, left = (height - h) // 2, (width - w) // 2
        image = image[top : top + h, left : left + w]
    return tf.image.resize(image, size).numpy()
