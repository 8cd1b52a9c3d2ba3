"""Against the simulated engine with one request in five failing, every sample arrives exactly once."""

from __future__ import annotations

import asyncio

from ns_eval.backoff import Backoff
from ns_eval.client import Client, Counters
from ns_eval.endpoint import Endpoint
from ns_eval.records import Generation, Request, Sampling
from tests.peers.simulated import simulated


def test_every_sample_arrives_once_although_one_in_five_requests_fails() -> None:
    problem = "Find the number of ordered pairs. "
    requests = [
        Request(f"q{question}", seed, Sampling(temperature=0.6), ({"role": "user", "content": problem * (question + 1)},))
        for question in range(30)
        for seed in range(8)
    ]

    async def run(url: str) -> tuple[list[Generation], Counters]:
        quick = Backoff(first_s=0.01, longest_s=0.1)
        async with Client(Endpoint(f"{url}/v1", "sim"), backoff=quick) as client:
            found = await asyncio.gather(*(client.complete(request, timeout_s=3) for request in requests))
            return list(found), client.counters

    with simulated("--faults", "0.2", "--slots", "64", "--median-tokens", "50", "--us-per-token", "20") as engine:
        found, counters = asyncio.run(run(engine.url))
        stats = engine.stats()
    assert [item.error for item in found] == [None] * 240
    assert all("\\boxed{" in item.text for item in found if item.finish_reason == "stop")
    assert stats["answered"] == counters.answers == 240
    failed = sum(stats["faults"].values())
    assert 24 < failed == counters.retries.total() == sum(item.attempts - 1 for item in found)
    assert set(counters.retries) == {"429", "http_500", "http_503", "reset", "cut", "bad_json", "timeout"}
