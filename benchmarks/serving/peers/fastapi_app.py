"""What most people write first: FastAPI over a Transformers pipeline. ``fastapi_app.py CHECKPOINT PORT MAX_TOKENS``."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

checkpoint, port, max_tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
classify = pipeline("text-classification", model=checkpoint, truncation=True, max_length=max_tokens, device="cpu")
app = FastAPI()


class Body(BaseModel):
    """One text."""

    text: str


@app.post("/predict")
def predict(body: Body) -> dict[str, object]:
    """In FastAPI's threads; torch uses all cores."""
    return dict(classify(body.text)[0])


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
