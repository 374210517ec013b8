"""Routes for tokens, for an admin."""

from typing import Annotated

from fastapi import APIRouter, Path, status

from backend.api.dependencies import LabDep
from backend.api.errors import problems
from backend.api.json_bodies import StrictJsonRoute
from backend.contracts.tokens import TokenCreate, TokenCreated, TokenRead
from backend.services import tokens

router = APIRouter(prefix="/tokens", tags=["tokens"], route_class=StrictJsonRoute)


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(422))
def create_token(request: TokenCreate, lab: LabDep) -> TokenCreated:
    """Make a token. The answer holds its secret, which is shown this once and kept nowhere."""
    return tokens.create(lab, request)


@router.get("")
def list_tokens(lab: LabDep) -> list[TokenRead]:
    """Tokens, oldest first. The data directory's own is not among them."""
    return tokens.listed(lab)


@router.delete("/{token_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(404))
def revoke_token(token_id: Annotated[str, Path(description="The token's id.")], lab: LabDep) -> None:
    """Revoke a token: nobody gets in with it any more, and what it still has open ends within seconds."""
    tokens.revoke(lab, token_id)
