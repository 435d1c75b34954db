#!/usr/bin/env python3
"""A name server for tests: answers from a table, misbehaves when told to, and
records every question.

  dns.py TABLE [--port N] [--log FILE] [--host ADDRESS]

Listens for UDP and TCP on one port (0: any free one on 127.0.0.1), prints that
port on a line of its own, and ends on TERM or when its input ends. The log
has one line a question: "udp A name.example".

TABLE is JSON, read again when it changed: names in lower case to objects.
"*.suffix" stands for all names below it; a name that is not there does not
exist (NXDOMAIN).
  A, AAAA      lists of addresses; a kind that is not there has none (NODATA)
  CNAME        another name of the table, whose addresses are added
  ttl          of the records, 60
  soa          of the SOA record in answers without addresses, 30; null: none
  rcode        2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED instead of an answer
  delay        seconds before the answer; drop true: never
  tc           true: over UDP only a cut answer, the whole one over TCP
  garbage      true: bytes that are no answer
  wrong        "id", "name": an answer to another question before the right one
Each of these but CNAME may have "_A" or "_AAAA" behind it: for that kind only.
"""
import argparse
import asyncio
import ipaddress
import json
import os
import signal
import struct
import sys

KINDS = {1: "A", 28: "AAAA"}


def encode(name):
    out = b""
    for label in name.split("."):
        out += bytes([len(label)]) + label.encode()
    return out + b"\0"


def decode(data, at):
    labels = []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    return ".".join(labels), at + 1


class Table:
    def __init__(self, path):
        self.path, self.stamp, self.names = path, None, {}

    def find(self, name):
        st = os.stat(self.path)
        stamp = (st.st_ino, st.st_size, st.st_mtime_ns)
        if stamp != self.stamp:
            with open(self.path) as f:
                self.names = json.load(f)
            self.stamp = stamp
        name = name.lower()
        if name in self.names:
            return self.names[name]
        while "." in name:
            name = name.split(".", 1)[1]
            if "*." + name in self.names:
                return self.names["*." + name]
        return None


def value(entry, key, kind, default=None):
    return entry.get(key + "_" + kind, entry.get(key, default))


def record(name, number, ttl, data):
    return (encode(name) + struct.pack("!HHIH", number, 1, ttl, len(data))
            + data)


def answers(table, name, number):
    """The records for a question, CNAMEs followed."""
    kind, out, found = KINDS.get(number, "?"), [], 0
    for _ in range(8):
        entry = table.find(name)
        if entry is None:
            break
        ttl = value(entry, "ttl", kind, 60)
        for text in entry.get(kind, []):
            packed = ipaddress.ip_address(text).packed
            out.append(record(name, number, ttl, packed))
            found += 1
        if "CNAME" not in entry:
            break
        out.append(record(name, 5, ttl, encode(entry["CNAME"])))
        name = entry["CNAME"]
    return out, found


def soa(entry, kind):
    ttl = value(entry or {}, "soa", kind, 30)
    if ttl is None:
        return []
    data = (encode("ns.example") + encode("admin.example")
            + struct.pack("!5I", 1, 3600, 600, 86400, ttl))
    return [record("example", 6, 3600, data)]


def reply(table, query, tcp):
    """(seconds, [messages]) for one question."""
    ident, flags = struct.unpack("!HH", query[:4])
    name, at = decode(query, 12)
    number = struct.unpack("!H", query[at:at + 2])[0]
    kind = KINDS.get(number, "?")
    question = query[12:at + 4]
    entry = table.find(name)
    facts = entry or {}
    rcode = value(facts, "rcode", kind, 3 if entry is None else 0)
    if value(facts, "drop", kind):
        return kind, name, 0, []
    found, count = answers(table, name, number) if rcode == 0 else ([], 0)
    authority = [] if count or rcode in (2, 5) else soa(entry, kind)
    cut = value(facts, "tc", kind) and not tcp

    def message(ident, question):
        head = struct.pack("!6H", ident, 0x8180 | rcode | (0x200 if cut else 0),
                           1, 0 if cut else len(found),
                           0 if cut else len(authority), 0)
        body = b"" if cut else b"".join(found + authority)
        return head + question + body

    out = [message(ident, question)]
    wrong = value(facts, "wrong", kind)
    if wrong == "id":
        out.insert(0, message(ident ^ 0x5555, question))
    elif wrong == "name":
        out.insert(0, message(ident, encode("other.example")
                              + struct.pack("!HH", number, 1)))
    if value(facts, "garbage", kind):
        out = [struct.pack("!H", ident) + b"\x81\x80\xff\xff" + b"\xff" * 40]
    return kind, name, value(facts, "delay", kind, 0), out


class Server(asyncio.DatagramProtocol):
    def __init__(self, table, log):
        self.table, self.log, self.tasks = table, log, set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        task = asyncio.ensure_future(self.serve(data, False, lambda m:
                                     self.transport.sendto(m, addr)))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, data, tcp, send):
        kind, name, delay, messages = reply(self.table, data, tcp)
        if self.log:
            self.log.write(f"{'tcp' if tcp else 'udp'} {kind} {name}\n")
            self.log.flush()
        if delay:
            await asyncio.sleep(delay)
        for m in messages:
            send(m)

    async def stream(self, reader, writer):
        try:
            while True:
                size = struct.unpack("!H", await reader.readexactly(2))[0]
                data = await reader.readexactly(size)
                await self.serve(data, True, lambda m: writer.write(
                    struct.pack("!H", len(m)) + m))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def listen(args, server):
    """One number for both kinds: a taken one is tried again."""
    loop = asyncio.get_running_loop()
    for _ in range(50):
        transport, _ = await loop.create_datagram_endpoint(
            lambda: server, local_addr=(args.host, args.port))
        port = transport.get_extra_info("sockname")[1]
        try:
            await asyncio.start_server(server.stream, args.host, port)
            return port
        except OSError:
            transport.close()
            if args.port:
                raise
    raise OSError("no port is free")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--log")
    args = parser.parse_args()

    log = open(args.log, "a") if args.log else None
    server = Server(Table(args.table), log)
    port = await listen(args, server)

    loop = asyncio.get_running_loop()
    end = loop.create_future()

    def stop():
        if not end.done():
            end.set_result(None)

    def on_input():
        if not os.read(0, 4096):
            stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        loop.add_reader(0, on_input)
    except PermissionError:
        pass                    # /dev/null or a file: TERM ends it
    print(port, flush=True)
    await end


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
