"""A file that Chromium plays as its camera: a picture that sways, so that a follower has something to do."""

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT, FRAMES = 320, 240, 20


def write_camera(file: Path, picture: np.ndarray) -> Path:
    """Write a Y4M of a square picture that fills the frame's height."""
    scale = HEIGHT / picture.shape[0]
    with file.open("wb") as stream:
        stream.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F20:1 Ip A1:1 C420jpeg\n".encode())
        for k in range(FRAMES):
            sway = 10 * np.sin(2 * np.pi * k / FRAMES) + (WIDTH - HEIGHT) / 2
            place = np.float32([[scale, 0, sway], [0, scale, 0]])
            frame = cv2.warpAffine(picture, place, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
            stream.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())
    return file
