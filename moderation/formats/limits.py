"""What may be brought, and what a decoder may use. The numbers that the sentences of a refusal name."""

MOST_BYTES = {"picture": 20_000_000, "film": 60_000_000}
# By the header, before a pixel is decoded.
MOST_PIXELS = 40_000_000
MOST_FILM_PIXELS = 1920 * 1088
MOST_SECONDS = 30
MOST_FRAMES = 900
LEAST_SIDE = 16
# What is larger is made smaller: nothing is drawn beyond.
MOST_SIDE = 2048
MOST_FILM_SIDE = 1280
MOST_FILM_KEPT = 128  # frames; of more, every second, third, ... is kept

# Of a picture whose origin is asked for: so many pixels are enough to read the watermark in.
LOOK_PIXELS = 512 * 512

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
FILM_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")

# Of one decoder: memory and processor time, and how long its parent waits.
MEMORY_BYTES = 1_500_000_000
CPU_SECONDS = 40
FILE_BYTES = 800_000_000
WALL_SECONDS = 60
