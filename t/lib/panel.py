#!/usr/bin/env python3
"""A panel for tests: speaks v2sp (?action=X) and UniProxy v1
(/api/v1/server/UniProxy/X) from a folder, misbehaves when told to, and records
every request and every report it booked.

  panel.py DIR [--port N] [--token T] [--cert FILE --key FILE] [--style S]

DIR/port is written when it listens (port 0: any free one on 127.0.0.1); it
ends on TERM. --style v2sp or uniproxy answers that API only (default both).

Content
  node-ID.json users-ID.json alive-ID.json    read at each request
Orders: the first file of these that exists is obeyed, ACTION being config,
user, alivelist, push or alive:
  mode-ACTION-ID  mode-ACTION  mode-ID  mode
Its text is one order a line; the first line is obeyed. A line "once ORDER" is
taken out when it was obeyed, "N times ORDER" after N times.
  ok                 as if there were no file
  status N [TEXT]    that status, TEXT or {"message":"down"} as body
  fail200            200 with {"status":"fail","message":"token is error"}
  fail400            400 in Xboard's shape
  ret0 | datafalse   200 with {"ret":0} or {"data":false}
  html [N]           a page, status N (200)
  garbage            bytes that are no JSON, status 200
  empty [N]          no body, status N (200)
  text TEXT          200 and plain text
  cut N              the right answer, but only its first N body bytes
  late S             the right answer after S seconds
  hang S             nothing for S seconds, then the connection is closed
  close              request read, then closed without an answer
  early N            only N bytes of the request's body are read, then closed
  reset              request read, then a reset
  redirect URL       302
  noetag | weak | gzip | php | bom    the right answer: without ETag, with a
                     weak one, compressed, in PHP's shapes, with a BOM
A POST is booked (push.jsonl, alive.jsonl) when its order is ok or one of cut,
late, close, reset, hang, text, empty, garbage, html, or starts with "book ",
as in "book status 504"; otherwise it is not.

Records, one JSON object a line
  requests.jsonl  t m action node path status etag conn headers body_len order
  push.jsonl      t node id data      alive.jsonl  t node data
"""
import argparse
import gzip
import hashlib
import json
import os
import signal
import socket
import ssl
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BOOKING = {"ok", "cut", "late", "close", "reset", "hang", "text", "empty",
           "garbage", "html", "noetag", "weak", "gzip", "php", "bom"}
NAMES = {"config": "node", "user": "users", "alivelist": "alive"}
UNIPROXY = "/api/v1/server/UniProxy/"
PAGE = (b"<html><head><title>Welcome</title></head>"
        b"<body>It works</body></html>")

lock = threading.Lock()
args = None


def path_of(name):
    return os.path.join(args.dir, name)


def record(name, obj):
    with lock, open(path_of(name + ".jsonl"), "a") as f:
        f.write(json.dumps(obj) + "\n")


def next_order(action, node):
    """The order for this request, without its "once" or "N times"."""
    with lock:
        for name in (f"mode-{action}-{node}", f"mode-{action}",
                     f"mode-{node}", "mode"):
            try:
                with open(path_of(name)) as f:
                    lines = [s.strip() for s in f if s.strip()]
            except FileNotFoundError:
                continue
            if not lines:
                continue
            words = lines[0].split(" ", 1)
            if words[0] == "once":
                lines = lines[1:]
            elif lines[0].split()[1:2] == ["times"]:
                count, _, rest = lines[0].split(" ", 2)
                words = ["", rest]
                if int(count) > 1:
                    lines[0] = f"{int(count) - 1} times {rest}"
                else:
                    lines = lines[1:]
            else:
                return lines[0]
            temp = path_of(f".{name}.{threading.get_ident()}")
            with open(temp, "w") as f:
                f.write("".join(s + "\n" for s in lines))
            if lines:
                os.replace(temp, path_of(name))
            else:
                os.unlink(temp)
                os.unlink(path_of(name))
            return words[1]
    return "ok"


def php(action, value):
    """The same answer as a PHP panel writes it."""
    if action == "user":
        for i, u in enumerate(value.get("users", [])):
            u["id"] = str(u["id"]) if i % 2 else u["id"]
            for key in ("speed_limit", "device_limit"):
                u[key] = str(u[key]) if u.get(key) else None
    elif action == "config":
        value["server_port"] = str(value["server_port"])
        value["tls"] = str(value.get("tls", 0))
        value["flow"] = value.get("flow") or None
        for key in ("networkSettings", "network_settings", "tls_settings"):
            if not value.get(key):
                value[key] = []
        value["base_config"] = {k: str(v) for k, v in
                                value.get("base_config", {}).items()}
        value["routes"] = value.get("routes") or []
        if "node_type" in value:
            value["node_type"] = value["node_type"].upper()
    elif action == "alivelist" and not value.get("alive"):
        value["alive"] = []
    return value


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except (OSError, ssl.SSLError):
            pass

    def do_GET(self):
        self.serve("GET")

    def do_POST(self):
        self.serve("POST")

    def serve(self, method):
        url = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        node = query.get("node_id", "0")
        if UNIPROXY in url.path and args.style != "v2sp":
            action = url.path.rsplit("/", 1)[-1]
        elif "action" in query and args.style != "uniproxy":
            action = query["action"]
        else:
            action = ""
        order = next_order(action, node) if action else "ok"
        booked = order.startswith("book ")
        order = order[5:] if booked else order
        verb, _, rest = order.partition(" ")
        booked = booked or verb in BOOKING

        length = int(self.headers.get("Content-Length") or 0)
        want = min(length, int(rest or 0)) if verb == "early" else length
        body = self.rfile.read(want) if want else b""
        self.note = {"t": time.time(), "m": method, "action": action,
                     "node": node, "path": self.path, "order": order,
                     "etag": self.headers.get("If-None-Match"),
                     "conn": self.client_address[1], "body_len": len(body),
                     "headers": dict(self.headers)}

        if query.get("token") != args.token and action:
            return self.answer(403, b'{"message":"Invalid token"}')
        if not action:
            return self.answer(200, PAGE, kind="text/html")
        if method == "POST" and booked and verb != "early":
            try:
                data = json.loads(body)
            except ValueError:
                return self.answer(400, b'{"message":"bad json"}')
            record(action, {"t": time.time(), "node": int(node),
                            "id": self.headers.get("X-Batch-Id"),
                            "data": data})
        self.obey(method, action, node, verb, rest)

    def obey(self, method, action, node, verb, rest):
        if verb in ("close", "early"):
            return self.drop()
        if verb == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
            return self.drop()
        if verb == "hang":
            time.sleep(float(rest or 3600))
            return self.drop()
        if verb == "status":
            code, _, text = rest.partition(" ")
            return self.answer(int(code), (text or '{"message":"down"}')
                               .encode())
        if verb == "fail200":
            return self.answer(200, b'{"status":"fail",'
                                    b'"message":"token is error"}')
        if verb == "fail400":
            return self.answer(400, b'{"status":"fail","message":'
                                    b'"Server does not exist","data":null}')
        if verb == "ret0":
            return self.answer(200, b'{"ret":0,"msg":"no"}')
        if verb == "datafalse":
            return self.answer(200, b'{"data":false}')
        if verb == "html":
            return self.answer(int(rest or 200), PAGE, kind="text/html")
        if verb == "garbage":
            return self.answer(200, b'{"users":[{"id":1,"uu\x00\xff')
        if verb == "empty":
            return self.answer(int(rest or 200), b"")
        if verb == "text":
            return self.answer(200, rest.encode(), kind="text/plain")
        if verb == "redirect":
            return self.answer(302, b"", extra={"Location": rest})
        if verb == "late":
            time.sleep(float(rest))
        self.right(method, action, node, verb, rest)

    def right(self, method, action, node, verb, rest):
        cut = int(rest) if verb == "cut" else None
        if method == "POST":
            return self.answer(200, b'{"message":"ok","data":true}', cut=cut)
        try:
            with open(path_of(f"{NAMES[action]}-{node}.json"), "rb") as f:
                body = f.read()
        except (KeyError, FileNotFoundError):
            if action == "alivelist":
                return self.answer(200, b'{"alive":{}}')
            return self.answer(404, b'{"message":"Server does not exist"}')
        extra = {}
        etag = '"' + hashlib.sha1(body).hexdigest() + '"'
        if verb == "weak":
            etag = "W/" + etag
        if verb != "noetag" and action != "alivelist":
            extra["ETag"] = etag
            if self.headers.get("If-None-Match") in (etag, etag.strip('"')):
                return self.answer(304, b"", extra=extra)
        if verb == "php":
            body = json.dumps(php(action, json.loads(body))).encode()
        if verb == "bom":
            body = b"\xef\xbb\xbf" + body
        if verb == "gzip":
            body = gzip.compress(body)
            extra["Content-Encoding"] = "gzip"
        self.answer(200, body, extra=extra, cut=cut)

    def answer(self, code, body, kind="application/json", extra=None,
               cut=None):
        self.done(code)
        self.send_response(code)
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        if code not in (204, 304):
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if code not in (204, 304):
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.drop(recorded=True)

    def drop(self, recorded=False):
        if not recorded:
            self.done(0)
        self.close_connection = True
        try:
            self.wfile.flush()
        except OSError:
            pass

    def done(self, status):
        self.note["status"] = status
        record("requests", self.note)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def shutdown_request(self, request):
        self.close_request(request)     # a reset stays a reset

    def handle_error(self, *_):
        pass


def main():
    global args
    p = argparse.ArgumentParser()
    p.add_argument("dir")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--token", default=os.environ.get(
        "PANEL_TOKEN", "test-token-0123456789"))
    p.add_argument("--cert")
    p.add_argument("--key")
    p.add_argument("--style", choices=("both", "v2sp", "uniproxy"),
                   default="both")
    args = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = Server(("127.0.0.1", args.port), Handler)
    if args.cert:
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(args.cert, args.key)
        server.socket = ctx.wrap_socket(server.socket, server_side=True,
                                        do_handshake_on_connect=False)
    port = server.server_address[1]
    with open(path_of("port.tmp"), "w") as f:
        f.write(f"{port}\n")
    os.replace(path_of("port.tmp"), path_of("port"))
    print(port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
