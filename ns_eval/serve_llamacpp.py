"""llama.cpp's own OpenAI-compatible server, out of the xllamacpp wheel: any GGUF file, with or without a GPU.

Runs as a child process, as a script: `python -P serve_llamacpp.py model.gguf --port 8000 --slots 32 --context 2048`.
"""

from __future__ import annotations

import argparse
import signal
import sys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("--alias", required=True, help="the model's name under /v1/models")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True, help="requests decoded together; further ones wait inside")
    parser.add_argument("--context", type=int, required=True, help="tokens of prompt and answer in one request")
    parser.add_argument("--threads", type=int, help="CPU threads; more than cores spin")
    parser.add_argument("--gpu-layers", type=int, default=-1, help="layers on the GPU; -1: what fits")
    options = parser.parse_args()
    try:
        import xllamacpp
    except ImportError:
        sys.exit("error: the embedded engine is not installed; pip install 'ns-eval[embedded]'")
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.alias}
    params.hostnames = [options.host]
    params.port = options.port
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context
    params.n_gpu_layers = options.gpu_layers
    params.fit_params = options.gpu_layers == -1
    params.verbosity = 1  # errors; with warnings it writes two lines a request
    params.cache_ram_mib = 0  # else up to 8 GiB of old prompts; each slot still keeps its own
    params.warmup = False
    params.ui = False
    if options.threads is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    server = xllamacpp.Server(params)  # returns when it answers
    print("listening on", server.listening_address, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
