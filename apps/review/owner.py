"""The owner's routes."""

from fastapi import APIRouter

router = APIRouter()
