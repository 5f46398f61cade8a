"""Behind your own sign-in: a token for each page, and a message to whomever it concerns.

API_KEY and JWT_SECRET are the files `api.key` and `jwt.secret` in the server's data folder.
"""

import os
import time
from pathlib import Path

import httpx
import jwt
from fastapi import FastAPI

TETHERLINE = os.environ.get("TETHERLINE", "http://127.0.0.1:8400")
API_KEY = Path(os.environ.get("API_KEY", "data/api.key")).read_text().strip()
JWT_SECRET = Path(os.environ.get("JWT_SECRET", "data/jwt.secret")).read_text().strip()
TOKEN_TTL_S = 600

app = FastAPI()


@app.post("/tetherline-token/{user}")
def token(user: str) -> dict[str, str]:
    # Yours: `user` is whom your session says, and never what a request says.
    claims = {"sub": user, "exp": int(time.time()) + TOKEN_TTL_S}
    return {"token": jwt.encode(claims, JWT_SECRET, algorithm="HS256")}


@app.post("/orders/{user}/{order}")
async def ordered(user: str, order: str) -> dict[str, int]:
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{TETHERLINE}/v1/users/{user}/messages",
            json={"type": "order_new", "order": order},
            # Said twice under one key, it is in the mailbox once.
            headers={"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": f"order-{order}"},
        )
    answer.raise_for_status()
    return {"seq": answer.json()["seq"]}
