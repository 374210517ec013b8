"""Small zips to upload."""

import io
import zipfile
from collections.abc import Mapping


def zip_of(files: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


GOOD = zip_of({"cats/1.png": b"a picture" * 1000, "dogs/1.png": b"another"})
