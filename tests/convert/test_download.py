"""Weights by name, from a server of this process: with ranges and without, whole and cut short."""

import hashlib
import http.server
import json
import logging
import multiprocessing
import re
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from vidjax import convert, models
from vidjax.convert import addresses, download
from vidjax.convert.addresses import Address
from vidjax.core.errors import DataError, StorageError, UserError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`; `server.cut` bytes of an answer at most, then it hangs up."""

    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        if server.status:
            self.send_error(server.status)
            return
        content, start = server.content, 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        fresh = self.headers.get("If-Range", server.etag) == server.etag
        if asked and fresh and server.ranges:
            start = int(asked[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.etag:
            self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : start + server.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests, server.content, server.status = [], CONTENT, 0
        server.ranges, server.etag, server.cut = True, '"one"', len(CONTENT)
        server.url = f"http://127.0.0.1:{server.server_port}/net-{SHA256[:8]}.pth"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def publish(server, monkeypatch):
    """publish(**fields): the address of peer:net is the server's."""

    def publish(**fields):
        address = Address(server.url, **fields)
        monkeypatch.setitem(addresses.ADDRESSES, "peer", {"net": address})

    publish(sha256=SHA256[:8])
    return publish


def ranges(server):
    return [headers.get("Range") for headers in server.requests]


def files_in(folder):
    """The visible files below a folder; locks are hidden."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.name[0] != ".")


def test_a_file_is_fetched_once_and_recorded(server, publish, tmp_path):
    path = download.fetch("peer:net", tmp_path)
    assert path == tmp_path / "weights/peer" / f"net-{SHA256[:8]}.pth"
    assert path.read_bytes() == CONTENT
    record = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert record == {"name": "peer:net", "url": server.url, "sha256": SHA256, "bytes": 300_000}
    assert download.fetch("peer:net", tmp_path) == path and len(server.requests) == 1
    assert files_in(tmp_path) == [path.name, f"{path.name}.json"]


@pytest.mark.parametrize("with_ranges", (True, False))
def test_an_interrupted_download_goes_on(server, publish, tmp_path, with_ranges):
    server.ranges, server.cut = with_ranges, 100_000
    with pytest.raises(StorageError, match=r"100,000 of 300,000 bytes\.\nThe same command"):
        download.fetch("peer:net", tmp_path)
    partial = tmp_path / "weights/peer" / f"net-{SHA256[:8]}.pth.partial"
    assert partial.stat().st_size == 100_000
    server.cut = 300_000
    assert download.fetch("peer:net", tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=100000-"] and not partial.exists()


def test_a_part_that_is_whole_is_not_fetched_again(server, publish, tmp_path):
    folder = tmp_path / "weights/peer"
    folder.mkdir(parents=True)
    partial = folder / f"net-{SHA256[:8]}.pth.partial"
    partial.write_bytes(CONTENT)
    assert download.fetch("peer:net", tmp_path).read_bytes() == CONTENT
    assert ranges(server) == ["bytes=300000-"]
    # and one that is too long begins again
    (folder / f"net-{SHA256[:8]}.pth").unlink()
    partial.write_bytes(CONTENT + b"more")
    assert download.fetch("peer:net", tmp_path).read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_begins_again(server, publish, tmp_path):
    publish()  # without a hash only the version tells
    server.content, server.cut = bytes(300_000), 100_000
    with pytest.raises(StorageError):
        download.fetch("peer:net", tmp_path)
    server.content, server.etag, server.cut = CONTENT, '"two"', 300_000
    assert download.fetch("peer:net", tmp_path).read_bytes() == CONTENT
    # without a version either, a part is of no use
    server.etag, server.cut = "", 100_000
    with pytest.raises(StorageError):
        download.fetch("peer:net", tmp_path / "other")
    server.cut = 300_000
    assert download.fetch("peer:net", tmp_path / "other").read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=100000-", None, None]


def test_a_wrong_file_is_kept_aside(server, publish, tmp_path):
    server.content = b"<html>Please log in</html>"
    wrong = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(DataError, match=f"{wrong}, and {SHA256[:8]} is published") as refused:
        download.fetch("peer:net", tmp_path)
    assert refused.value.exit_code == 3
    assert files_in(tmp_path)[0] == f"net-{SHA256[:8]}.pth.refused"
    server.content = CONTENT  # the part that was refused is not gone on from
    assert download.fetch("peer:net", tmp_path).read_bytes() == CONTENT


def test_a_published_size_is_compared(server, publish, tmp_path):
    publish(sha256=SHA256, num_bytes=300_001)
    with pytest.raises(DataError, match="300,000 bytes, and 300,001 are published"):
        download.fetch("peer:net", tmp_path)


def test_without_a_hash_the_first_file_is_trusted_and_later_ones_compared(
    server, publish, tmp_path, caplog
):
    publish()
    with caplog.at_level(logging.INFO, "vidjax"):
        path = download.fetch("peer:net", tmp_path)
    assert "publish no hash" in caplog.text and SHA256 in caplog.text
    path.write_bytes(CONTENT[::-1])
    changed = hashlib.sha256(CONTENT[::-1]).hexdigest()
    with pytest.raises(DataError, match=f"{changed}, not {SHA256}"):
        download.fetch("peer:net", tmp_path)
    assert path.exists() and len(server.requests) == 1


def test_a_file_put_there_by_hand_needs_no_network(server, publish, tmp_path):
    folder = tmp_path / "weights/peer"
    folder.mkdir(parents=True)
    path = folder / f"net-{SHA256[:8]}.pth"
    path.write_bytes(CONTENT)
    assert download.fetch("peer:net", tmp_path) == path and server.requests == []
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match="Remove it"):
        download.fetch("peer:net", tmp_path)


def test_no_network_and_no_file_are_told(server, publish, tmp_path):
    server.status = 404
    with pytest.raises(StorageError, match="the server answers 404") as refused:
        download.fetch("peer:net", tmp_path)
    text = str(refused.value)
    assert server.url in text and str(tmp_path / "weights/peer") in text
    assert len(text.splitlines()) <= 5 and refused.value.exit_code == 5
    server.url = "http://127.0.0.1:9/net.pth"  # nobody listens there
    publish()
    with pytest.raises(StorageError, match="Connection refused"):
        download.fetch("peer:net", tmp_path)


def test_a_cache_that_cannot_be_written_is_told(publish, tmp_path):
    (tmp_path / "weights").write_text("no folder")
    with pytest.raises(StorageError, match="cannot be kept"):
        download.fetch("peer:net", tmp_path)


def fetch_in_process(url, folder, answers):
    addresses.ADDRESSES["peer"] = {"net": Address(url, SHA256)}
    answers.put(download.fetch("peer:net", folder).read_bytes() == CONTENT)


def test_two_processes_fetch_one_file_once(server, tmp_path):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    arguments = (server.url, tmp_path, answers)
    processes = [context.Process(target=fetch_in_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    assert [answers.get(timeout=60), answers.get(timeout=60)] == [True, True]
    for process in processes:
        process.join()
    assert len(server.requests) == 1


def test_load_takes_a_name(server, publish, tmp_path, monkeypatch):
    """And what is fetched is read like any file."""
    module = models.build("tiny3d", variant="tiny3d", num_classes=3, width=0.05)
    own = tmp_path / "own.safetensors"
    clip = (1, 4, 16, 16, 3)
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros(clip))
    convert.save(own, module, variables, clip=clip)
    server.content, server.cut = own.read_bytes(), 1 << 30
    publish(sha256=hashlib.sha256(server.content).hexdigest())
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path / "cache"))
    loaded, arrays = convert.load("peer:net")
    assert models.describe(loaded) == models.describe(module)
    np.testing.assert_array_equal(
        arrays["params"]["head"]["logits"]["kernel"],
        variables["params"]["head"]["logits"]["kernel"],
    )
    assert (tmp_path / "cache/weights/peer").is_dir()


@pytest.mark.slow  # the network of the name, of full size, is compiled twice
def test_jobs_take_names(tiny, job, tmp_path, monkeypatch, capfd):
    """A run starts from published weights, and import_weights reads them; here from the cache."""
    module = models.build("tiny3d", variant="tiny3d", num_classes=3, width=0.05)
    clip = (1, 4, 16, 16, 3)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(clip)))
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
    folder = tmp_path / "cache/weights/peer"
    folder.mkdir(parents=True)
    convert.save(folder / "net.safetensors", module, ones, clip=clip)
    monkeypatch.setitem(addresses.ADDRESSES, "peer", {"net": Address("https://x/net.safetensors")})
    cache = f"--config.data.cache_dir={tmp_path / 'cache'}"
    one_step = ("--config.init_from=peer:net", "--config.num_steps=1", cache)
    job([*tiny, *one_step, "--workdir", tmp_path / "run"])
    message = capfd.readouterr().err
    assert f"starts from {folder / 'net.safetensors'}: tiny3d" in message
    assert "its head of 3 classes is replaced" in message
    monkeypatch.setenv("VIDJAX_CACHE", str(tmp_path / "cache"))
    job(["--job", "import_weights", "--from", "peer:net", "--to", tmp_path / "to.safetensors"])
    assert (tmp_path / "to.safetensors").exists()
    with pytest.raises(UserError, match="Did you mean 'net'"):
        job([*tiny, "--config.init_from=peer:nett", "--workdir", tmp_path / "other"])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "name, nearest",
    (
        ("torchvision:r2plus1_18", "'r2plus1d_18'"),
        ("torchvison:r3d_18", "'torchvision:r3d_18'"),
        ("pytorchvideo:x3d_xxs", "'x3d_xs'"),
    ),
)
def test_a_misspelt_name_is_told_the_nearest(name, nearest):
    with pytest.raises(UserError, match=f"Did you mean {nearest}") as refused:
        convert.load(name)
    assert len(str(refused.value).splitlines()) <= 5


def test_paths_are_no_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_file({"x": np.zeros(1)}, "a:b")
    for text in ("weights/r3d.pth", "r3d.pth", "gs://bucket/x", "C:\\x.pth", "a:b", ""):
        assert not addresses.is_name(text), text
    assert all(addresses.is_name(name) for name in addresses.names())


def test_every_address_is_of_a_network_that_is_read():
    """Peers have their files; torchvision's names carry the hash that is compared."""
    for peer, networks in addresses.ADDRESSES.items():
        stem = peer.replace("-", "_")
        known = convert.peers.names()
        assert stem in known or any(name.startswith(f"{stem}_") for name in known)
        for address in networks.values():
            assert address.url.startswith("https://")
            if peer == "torchvision":
                assert address.url.endswith(f"-{address.sha256}.pth") and len(address.sha256) == 8
    urls = [address.url for peer in addresses.ADDRESSES.values() for address in peer.values()]
    assert len(set(urls)) == len(urls)
