"""Whether the process answers; there is nothing that it could wait for."""

from fastapi import APIRouter

router = APIRouter()


@router.get("/livez")
@router.get("/readyz")
async def ok() -> dict[str, str]:
    return {"status": "ok"}
