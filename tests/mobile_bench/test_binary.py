"""The benchmark binary: found where it is named, fetched only as it was pinned, and made for the phone at hand."""

import hashlib
import http.server
import os
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobile_bench.binary import find_binary
from mobile_bench.download import cache_folder, fetch
from mobile_bench.elf import abi_of, check_abi
from mobile_bench.tool_errors import DownloadError, NoBinaryError, WrongBinaryError
from tfold.errors import BadInputError

PHONE = ("arm64-v8a", "armeabi-v7a")


def elf(machine=183, bits=64, kind=3, endian=1, code=b"code"):
    """A whole ELF file with one segment and nothing that could run."""
    header, segment = (64, 56) if bits == 64 else (52, 32)
    at = header + segment
    ident = b"\x7fELF" + bytes([bits // 32, endian, 1]) + bytes(9)
    if bits == 64:
        head = struct.pack("<16sHHIQQQIHHHHHH", ident, kind, machine, 1, 0, header, 0, 0, header, segment, 1, 0, 0, 0)
        part = struct.pack("<IIQQQQQQ", 1, 5, at, 2**40, 2**40, len(code), 2**30, 4096)
    else:
        head = struct.pack("<16sHHIIIIIHHHHHH", ident, kind, machine, 1, 0, header, 0, 0, header, segment, 1, 0, 0, 0)
        part = struct.pack("<IIIIIIII", 1, at, 2**30, 2**30, len(code), 2**30, 5, 4096)
    return head + part + code


AARCH64, ARM, X86_64 = elf(), elf(40, bits=32), elf(62, kind=2)


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch, tmp_path):
    for name in ("BINARY", "URL", "SHA256"):
        monkeypatch.delenv(f"TFOLD_BENCHMARK_{name}", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def put(path, content=AARCH64):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("content", "abi"), [
    (AARCH64, "arm64-v8a"), (ARM, "armeabi-v7a"), (X86_64, "x86_64"), (elf(3, bits=32), "x86"),
    (elf(243), "riscv64"), (b"#!/system/bin/sh\nexec tool", None),
])
def test_the_abi_is_read_from_the_file(tmp_path, content, abi):
    assert abi_of(put(tmp_path / "tool", content)) == abi


def test_a_real_program_of_this_machine_has_its_abi():
    machine = {"x86_64": "x86_64", "aarch64": "arm64-v8a"}[os.uname().machine]
    assert abi_of("/bin/sh") == machine


@pytest.mark.parametrize(("content", "said"), [
    (b"PK\x03\x04rest", "an APK or zip archive"),
    (b"", "an empty file"),
    (b"<html>404</html>", "something else"),
    (elf(8, bits=32), "ELF machine 8 with 32 bits"),
    (elf(62, bits=32), "ELF machine 62 with 32 bits"),  # x32
    (elf(endian=2), "ELF machine 183"),
    (elf(kind=1), "of type 1"),
    (elf(kind=4), "of type 4"),
])
def test_what_is_no_program_is_refused(tmp_path, content, said):
    with pytest.raises(WrongBinaryError, match=f"Received: .*tool.*{said}"):
        abi_of(put(tmp_path / "tool", content))


@settings(max_examples=60)
@given(st.sampled_from([AARCH64, ARM]), st.floats(0, 1, exclude_max=True))
def test_a_cut_program_is_refused(tmp_path_factory, content, share):
    path = tmp_path_factory.getbasetemp() / "cut"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(WrongBinaryError):
        abi_of(path)


@settings(max_examples=60)
@given(st.binary(max_size=120))
def test_garbage_behind_the_mark_is_an_error_or_a_known_abi(tmp_path_factory, rest):
    path = tmp_path_factory.getbasetemp() / "garbage"
    path.write_bytes(b"\x7fELF" + rest)
    with suppress(WrongBinaryError):
        assert abi_of(path) in ("arm64-v8a", "armeabi-v7a", "x86_64", "x86", "riscv64")


def test_a_file_that_is_not_there_or_a_folder_is_no_program(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(WrongBinaryError, match="can be read. Received: "):
            abi_of(path)


def test_the_phones_abis_and_the_programs_are_both_said(tmp_path):
    tool = put(tmp_path / "tool", X86_64)
    with pytest.raises(WrongBinaryError, match="for x86_64, and a phone for arm64-v8a, armeabi-v7a. Fetch the one for"):
        check_abi(tool, PHONE)
    check_abi(tool, ("x86_64", "x86"))
    check_abi(tool, ())  # a phone that does not tell
    check_abi(put(tmp_path / "script", b"#!/bin/sh"), PHONE)


def test_a_named_file_is_taken(tmp_path, monkeypatch):
    tool, other = put(tmp_path / "tool"), put(tmp_path / "other")
    monkeypatch.setenv("TFOLD_BENCHMARK_BINARY", str(other))
    assert find_binary(tool, PHONE) == tool
    assert find_binary(str(tool)) == tool
    assert find_binary(abi=PHONE) == other
    assert find_binary(abi="arm64-v8a") == other


def test_what_is_named_here_counts_more_than_the_environment(tmp_path, monkeypatch):
    tool, url = put(tmp_path / "tool"), put(tmp_path / "fetched", ARM).as_uri()
    monkeypatch.setenv("TFOLD_BENCHMARK_BINARY", str(tool))
    found = find_binary(url=url, sha256=hashlib.sha256(ARM).hexdigest(), abi=PHONE)
    assert found.read_bytes() == ARM


@pytest.mark.parametrize("variable", [None, "TFOLD_BENCHMARK_BINARY"])
def test_a_path_that_is_not_there_says_who_named_it(tmp_path, monkeypatch, variable):
    path = tmp_path / "none"
    if variable:
        monkeypatch.setenv(variable, str(path))
    with pytest.raises(NoBinaryError, match=f"Received: {path}{fr' .from {variable}.' if variable else ''}, which"):
        find_binary(None if variable else path, PHONE)


def test_nothing_named_says_where_to_get_it_and_that_builds_change():
    with pytest.raises(NoBinaryError) as raised:
        find_binary(abi=PHONE)
    for words in ("nightly/latest/android_aarch64_benchmark_model", "android_arm64/benchmark_model", "change",
                  "--benchmark-binary", "TFOLD_BENCHMARK_BINARY", "TFOLD_BENCHMARK_SHA256"):
        assert words in str(raised.value)


@pytest.mark.parametrize(("names", "abi", "taken"), [
    (["android_aarch64_benchmark_model", "android_arm_benchmark_model"], PHONE, "android_aarch64_benchmark_model"),
    (["android_aarch64_benchmark_model", "android_arm_benchmark_model"], "armeabi-v7a", "android_arm_benchmark_model"),
    (["android_arm_benchmark_model"], PHONE, "android_arm_benchmark_model"),
    (["android_arm64/benchmark_model", "linux_x86_64/benchmark_model"], PHONE, "android_arm64/benchmark_model"),
    (["android_arm64/benchmark_litert_model"], PHONE, "android_arm64/benchmark_litert_model"),
    (["x86_64/benchmark_model", "arm64-v8a/benchmark_model"], "x86_64", "x86_64/benchmark_model"),
    (["benchmark_model"], PHONE, "benchmark_model"),
    (["android_aarch64_benchmark_model"], None, "android_aarch64_benchmark_model"),
])
def test_a_folder_has_one_for_each_kind_of_phone(tmp_path, names, abi, taken):
    for name in names:
        machine = ARM if "arm_" in name else X86_64 if "x86" in name else AARCH64
        put(tmp_path / name, machine)
    assert find_binary(tmp_path, abi) == tmp_path / taken


def test_a_folder_without_the_phones_says_how_to_name_it(tmp_path):
    put(tmp_path / "x86_64/benchmark_model", X86_64)
    with pytest.raises(NoBinaryError, match="none for arm64-v8a, armeabi-v7a. Name it like android_aarch64_benchmark_"):
        find_binary(tmp_path, PHONE)


def test_a_folder_of_several_needs_a_phone(tmp_path):
    put(tmp_path / "x86_64/benchmark_model", X86_64)
    put(tmp_path / "arm64/benchmark_model")
    with pytest.raises(NoBinaryError, match="with arm64/benchmark_model, x86_64/benchmark_model, and no phone yet"):
        find_binary(tmp_path)


def test_what_is_found_must_fit_the_phone(tmp_path):
    with pytest.raises(WrongBinaryError, match="for x86_64, and a phone for arm64-v8a"):
        find_binary(put(tmp_path / "benchmark_model", X86_64), PHONE)
    with pytest.raises(WrongBinaryError, match="something else"):
        find_binary(put(tmp_path / "benchmark_model", b"Not Found"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NoBinaryError, match="a device or pipe"):
        find_binary(tmp_path / "pipe")


def test_a_path_can_be_pinned_too(tmp_path):
    tool = put(tmp_path / "tool")
    assert find_binary(tool, sha256=hashlib.sha256(AARCH64).hexdigest().upper()) == tool
    with pytest.raises(WrongBinaryError, match="pinned binary has the sha256 00"):
        find_binary(tool, sha256="00" * 32)


@pytest.fixture(scope="module")
def server():
    """An HTTP server; its address. /tool is the binary; /cut promises more than it sends; /moved redirects."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        close_connection = True

        def do_GET(self):
            self.server.requests.append(self.path)
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/tool")
                self.end_headers()
            elif self.path in ("/tool", "/cut"):
                self.send_response(200)
                self.send_header("Content-Length", str(len(AARCH64) + (self.path == "/cut")))
                self.end_headers()
                self.wfile.write(AARCH64)
            elif self.path == "/cut-chunk":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"40\r\n" + AARCH64[:9])
            elif self.path == "/silent":
                self.server.released.wait(60)
            else:
                self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.requests, listening.released = [], threading.Event()
        listening.address = f"http://127.0.0.1:{listening.server_address[1]}"
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield listening
        listening.released.set()
        listening.shutdown()


PIN = hashlib.sha256(AARCH64).hexdigest()


@pytest.mark.parametrize("path", ["/tool", "/moved"])
def test_it_is_fetched_once_into_the_cache(server, path, tmp_path):
    server.requests.clear()
    found = find_binary(url=server.address + path, sha256=PIN.upper(), abi=PHONE)
    assert found == tmp_path / "cache/tfold/benchmark" / PIN and found.read_bytes() == AARCH64
    fetched = len(server.requests)
    assert find_binary(url=server.address + path, sha256=PIN) == found
    assert len(server.requests) == fetched  # from the cache
    assert list(found.parent.iterdir()) == [found]


def test_the_environment_can_name_it(server, monkeypatch):
    monkeypatch.setenv("TFOLD_BENCHMARK_URL", f"{server.address}/tool")
    monkeypatch.setenv("TFOLD_BENCHMARK_SHA256", PIN)
    assert find_binary(abi=PHONE).read_bytes() == AARCH64


def test_a_cached_file_that_was_changed_is_fetched_again(server):
    found = fetch(f"{server.address}/tool", PIN)
    found.write_bytes(b"changed")
    assert fetch(f"{server.address}/tool", PIN).read_bytes() == AARCH64


@pytest.mark.parametrize(("path", "sha256", "said"), [
    ("/tool", "ab" * 32, f"pinned, {'ab' * 32}. Received: {PIN} from .*/tool. Another build lies there now"),
    ("/cut", PIN, f"only {len(AARCH64)} of {len(AARCH64) + 1} bytes"),
    ("/cut-chunk", PIN, "/cut-chunk: the connection ended in the middle. Check"),
    ("/none", PIN, "/none: HTTP 404, Not Found. Check"),
])
def test_what_cannot_be_fetched_leaves_nothing(server, path, sha256, said):
    with pytest.raises(DownloadError, match=said):
        find_binary(url=server.address + path, sha256=sha256)
    assert list(cache_folder().iterdir()) == []


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DownloadError, match=r"/tool: \[Errno \d+\] Connection refused. Check .*--benchmark-binary"):
        fetch(f"http://127.0.0.1:{port}/tool", PIN)


def test_a_silent_server_a_slow_one_and_too_much(server):
    with pytest.raises(DownloadError, match="timed out"):
        fetch(f"{server.address}/silent", PIN, timeout=0.1)
    with pytest.raises(DownloadError, match=f"only {len(AARCH64)} bytes in the time allowed"):
        fetch(f"{server.address}/tool", PIN, patience=-1)
    with pytest.raises(DownloadError, match="more than 0 MiB"):
        fetch(f"{server.address}/tool", PIN, largest=len(AARCH64) - 1)
    assert fetch(f"{server.address}/tool", PIN, largest=len(AARCH64)).read_bytes() == AARCH64


@pytest.mark.parametrize(("url", "sha256", "said"), [
    ("https://example.org/tool", None, "pinned by its sha256. Received: https://example.org/tool without one"),
    ("https://example.org/tool", "ab", "64 hexadecimal digits"),
    ("https://example.org/tool", "g" * 64, "64 hexadecimal digits"),
    ("ftp://example.org/tool", PIN, "http, https or file"),
    ("tool", PIN, "http, https or file"),
    ("http://[", PIN, "http, https or file"),
])
def test_urls_that_cannot_be_meant(url, sha256, said):
    with pytest.raises(BadInputError, match=said):
        find_binary(url=url, sha256=sha256)


def test_a_path_and_a_url_are_too_much(tmp_path):
    with pytest.raises(BadInputError, match="by a path or by a URL"):
        find_binary(tmp_path, url="https://example.org/tool", sha256=PIN)


def test_a_file_url_and_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    tool = put(tmp_path / "tool")
    assert fetch(tool.as_uri(), PIN).read_bytes() == AARCH64
    with pytest.raises(DownloadError, match="No such file"):
        fetch((tmp_path / "none").as_uri(), "00" * 32)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tool))  # a file
    with pytest.raises(DownloadError, match="Not a directory"):
        fetch(tool.as_uri(), PIN)


def test_the_cache_is_at_home_unless_it_is_told_otherwise(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    for useless in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", useless)
        assert cache_folder() == Path("/home/me/.cache/tfold/benchmark")
