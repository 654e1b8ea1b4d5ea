"""A small adb daemon: the real adb client talks to it over loopback as if it were a phone.

    adb client ──▶ adb server ──TCP──▶ this process ──▶ commands and files of this machine
                     CNXN ──────────────▶          who is there?
                          ◀────────────── CNXN     banner: model, features      (or AUTH, or nothing)
                     OPEN "shell,v2,raw:id" ─▶     a stream
                          ◀────────────── OKAY
                          ◀────────────── WRTE     pieces of output; each waits for the other side's OKAY
                          ◀────────────── CLSE

Commands run in ROOT, with `--bin` first on their PATH; files are sent and fetched by their true paths, so that both
sides name the same file. It goes away for good when its stdin ends, or when the file `--unplug` appears: a command can
pull the plug on itself with `touch "$UNPLUG"`.

Usage: adb_daemon.py ROOT [options]; it prints the port.
"""

import argparse
import contextlib
import os
import queue
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time

MAX_PAYLOAD = 64 * 1024
VERSION = 0x01000000  # packets with checksums
TOKEN, SIGNATURE = 1, 2  # kinds of AUTH
STDOUT, STDERR, EXIT = 1, 2, 3  # kinds of packets in the shell protocol v2


def main():
    options = parse_arguments()
    running = set()  # of process groups, which end with the daemon

    def leave(*_):
        for group in list(running):
            kill_group(group)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    listener = socket.create_server(("127.0.0.1", options.port))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=wait_for_unplugging, args=(options.unplug, leave), daemon=True).start()
    threading.Thread(target=accept_hosts, args=(listener, options, running, leave), daemon=True).start()
    sys.stdin.read()
    leave()


def parse_arguments():
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("root", help="the folder that commands start in")
    add("--port", type=int, default=0, help="0: any free one")
    add("--bin", default="/nonexistent", help="a folder that comes first on the commands' PATH")
    add("--unplug", default="/nonexistent", help="a file: when it appears, the phone is gone")
    add("--model", default="MiniPhone")
    add("--features", default="shell_v2,cmd", help="without shell_v2: a terminal, \\r\\n, no exit codes")
    add("--login", choices=("accept", "refuse", "silent"), default="accept", help="how it answers a host")
    add("--read-only", action="append", default=[], help="a path below which files cannot be sent")
    add("--full-after", type=int, help="the storage is full after so many bytes of a file")
    add("--unplug-after", type=int, help="gone after so many bytes of a file, sent or fetched")
    add("--break-after", type=int, help="a transfer breaks off after so many bytes, and the phone stays")
    add("--flip-byte", action="store_true", help="the first byte of every file sent arrives changed")
    return parser.parse_args()


def wait_for_unplugging(path, leave):
    while not os.path.exists(path):
        time.sleep(0.005)
    leave()


def accept_hosts(listener, options, running, leave):
    while True:
        connection = listener.accept()[0]
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Host(connection, options, running, leave).serve, daemon=True).start()


class Host:
    """The connection to one adb server, which carries many streams."""

    def __init__(self, connection, options, running, leave):
        self.connection, self.options, self.running, self.leave = connection, options, running, leave
        self.sending = threading.Lock()
        self.streams = {}

    def serve(self):
        try:
            while True:
                command, first, second, length, _, _ = struct.unpack("<4s5I", self._receive(24))
                self._handle(command, first, second, self._receive(length))
        except (EOFError, OSError):
            self.connection.close()

    def send(self, command, first, second, data=b""):
        magic = int.from_bytes(command, "little") ^ 0xFFFFFFFF
        header = struct.pack("<4s5I", command, first, second, len(data), sum(data) & 0xFFFFFFFF, magic)
        with self.sending:
            self.connection.sendall(header + data)

    def _handle(self, command, first, second, data):
        if command == b"CNXN" or (command == b"AUTH" and first == SIGNATURE):
            self._log_in()
        elif command == b"OPEN":
            stream = self.streams[len(self.streams) + 1] = Stream(self, len(self.streams) + 1, first)
            service = os.fsdecode(data.rstrip(b"\0"))
            threading.Thread(target=stream.serve, args=(service,), daemon=True).start()
        elif command == b"WRTE":
            self.streams[second].arrived.put(data)
            self.send(b"OKAY", second, first)
        elif command == b"OKAY":
            self.streams[second].taken.release()
        elif command == b"CLSE":
            self.streams[second].end()

    def _log_in(self):
        if self.options.login == "accept":
            banner = f"device::ro.product.name=mini;ro.product.model={self.options.model};ro.product.device=mini;"
            self.send(b"CNXN", VERSION, MAX_PAYLOAD, f"{banner}features={self.options.features}\0".encode())
        elif self.options.login == "refuse":  # no signature will do; on the host's key it waits for its user
            self.send(b"AUTH", TOKEN, 0, bytes(20))

    def _receive(self, length):
        data = b""
        while len(data) < length:
            piece = self.connection.recv(length - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


class Stream:
    """One service that a host has opened: a command, or a session of file transfers."""

    def __init__(self, host, number, remote):
        self.host, self.number, self.remote = host, number, remote
        self.arrived, self.taken = queue.Queue(), threading.Semaphore(0)
        self.unread, self.ended = b"", False

    def serve(self, service):
        kind, _, argument = service.partition(":")
        kind, *flags = kind.split(",")
        serve = {"shell": lambda: run_command(self, argument, "v2" in flags), "sync": lambda: transfer(self)}.get(kind)
        try:
            if serve:
                self.host.send(b"OKAY", self.number, self.remote)
                serve()
            self.host.send(b"CLSE", self.number if serve else 0, self.remote)
        except (EOFError, OSError):
            pass  # the host has closed the stream

    def write(self, data):
        for start in range(0, len(data), MAX_PAYLOAD):
            self.host.send(b"WRTE", self.number, self.remote, data[start:start + MAX_PAYLOAD])
            self.taken.acquire()
            if self.ended:
                raise EOFError

    def read(self, length):
        while len(self.unread) < length:
            piece = self.arrived.get()
            if piece is None:
                raise EOFError
            self.unread += piece
        data, self.unread = self.unread[:length], self.unread[length:]
        return data

    def end(self):
        self.ended = True
        self.arrived.put(None)
        self.taken.release()


def run_command(stream, command, v2):
    """Runs a command; like adbd in a process group of its own, and without v2 in a terminal (\\r\\n, no stderr)."""
    options = stream.host.options
    environment = {"PATH": f"{options.bin}:/usr/bin:/bin", "HOME": options.root, "UNPLUG": options.unplug}
    outputs = [os.pipe(), os.pipe()] if v2 else [os.openpty()]
    process = subprocess.Popen(
        ["/bin/sh", "-c", command], cwd=options.root, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=outputs[0][1], stderr=outputs[-1][1])
    stream.host.running.add(process.pid)
    for _, writing in outputs:
        os.close(writing)
    writing = threading.Lock()

    def forward(kind, reading):
        while data := read_some(reading):
            with writing:
                stream.write(struct.pack("<BI", kind, len(data)) + data if v2 else data)
        os.close(reading)

    forwards = [threading.Thread(target=forward, args=(kind, reading), daemon=True)
                for kind, (reading, _) in zip((STDOUT, STDERR), outputs, strict=False)]
    for each in forwards:
        each.start()
    code = process.wait()
    for each in forwards:
        each.join()
    stream.host.running.discard(process.pid)
    if v2:
        stream.write(struct.pack("<BIB", EXIT, 1, code if code >= 0 else 128 - code))


def read_some(reading):
    try:
        return os.read(reading, 32 * 1024)
    except OSError:  # how a terminal ends
        return b""


def kill_group(group):
    with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
        os.killpg(group, signal.SIGKILL)


def transfer(stream):
    """The sync service: requests of four letters, a length, and a path."""
    while True:
        request, length = struct.unpack("<4sI", stream.read(8))
        if request == b"QUIT":
            return
        argument = os.fsdecode(stream.read(length))
        try:
            {b"STAT": tell, b"LIST": list_folder, b"SEND": take, b"RECV": give}[request](stream, argument)
        except OSError as error:
            message = f"couldn't open: {error.strerror}".encode()
            stream.write(struct.pack("<4sI", b"FAIL", len(message)) + message)


def tell(stream, path):
    try:
        found = os.stat(path)
        stream.write(struct.pack("<4s3I", b"STAT", found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime)))
    except OSError:
        stream.write(struct.pack("<4s3I", b"STAT", 0, 0, 0))


def list_folder(stream, path):
    for entry in os.scandir(path) if os.path.isdir(path) else ():
        found, name = entry.stat(follow_symlinks=False), os.fsencode(entry.name)
        stream.write(struct.pack("<4s4I", b"DENT", found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime),
                                 len(name)) + name)
    stream.write(struct.pack("<4s4I", b"DONE", 0, 0, 0, 0))


def take(stream, argument):
    """SEND "path,mode": pieces until DONE, which are read to the end whatever goes wrong with them here."""
    options = stream.host.options
    path, _, mode = argument.rpartition(",")
    complaint, written, file = None, 0, None
    try:
        if any(os.path.commonpath([path, folder]) == folder for folder in options.read_only):
            raise OSError(30, "Read-only file system")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        file = open(path, "wb")  # noqa: SIM115 (closed below, after the pieces that come in any case)
    except OSError as error:
        complaint = f"couldn't create file: {error.strerror}"
    while True:
        piece, length = struct.unpack("<4sI", stream.read(8))
        if piece == b"DONE":
            break
        data = stream.read(length)
        if options.flip_byte and not written:
            data = bytes([data[0] ^ 1]) + data[1:]
        written += length
        if options.unplug_after is not None and written > options.unplug_after:
            stream.host.leave()
        if options.break_after is not None and written > options.break_after:
            stream.host.send(b"CLSE", stream.number, stream.remote)
            raise EOFError
        if options.full_after is not None and written > options.full_after:
            complaint = complaint or "write failed: No space left on device"
        if not complaint:
            file.write(data)
    if file:
        file.close()
    if complaint:
        stream.write(struct.pack("<4sI", b"FAIL", len(complaint)) + complaint.encode())
        return
    os.chmod(path, stat.S_IMODE(int(mode)))
    os.utime(path, (length, length))  # with DONE comes the time of the last change
    stream.write(struct.pack("<4sI", b"OKAY", 0))


def give(stream, path):
    """RECV: the file in pieces, then DONE."""
    limit = stream.host.options.unplug_after
    with open(path, "rb") as file:
        while data := file.read(MAX_PAYLOAD - 8):
            if limit is not None and file.tell() > limit:
                stream.host.leave()
            stream.write(struct.pack("<4sI", b"DATA", len(data)) + data)
    stream.write(struct.pack("<4sI", b"DONE", 0))


if __name__ == "__main__":
    main()
