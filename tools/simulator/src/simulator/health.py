"""Liveness and readiness; the simulator depends on nothing."""

from fastapi import APIRouter

router = APIRouter()


@router.get("/livez")
@router.get("/readyz")
async def ok() -> dict[str, str]:
    return {"status": "ok"}
