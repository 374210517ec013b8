"""What routes ask for."""

from typing import Annotated, cast

from fastapi import Depends, Query, Request

from backend.services.lab import Lab


def lab_of(request: Request) -> Lab:
    """The backend's parts, which the application holds."""
    return cast("Lab", request.app.state.lab)


LabDep = Annotated[Lab, Depends(lab_of)]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000, description="Leave out so many at the start.")]
