"""Bounds that several contracts share: nothing that is sent may be as large as it likes."""

import sys
from typing import Annotated

from pydantic import Field

MOST = 2**62
"""What a database column holds."""

Count = Annotated[int, Field(ge=0, le=MOST)]
Integer = Annotated[int, Field(ge=-MOST, le=MOST)]
FiniteFloat = Annotated[float, Field(ge=-sys.float_info.max, le=sys.float_info.max, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
ShortText = Annotated[str, Field(max_length=2000)]
LongText = Annotated[str, Field(max_length=20_000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
