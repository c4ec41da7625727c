"""ClickHouse's HTTP interface on its real engine, as far as a sink needs it.

`clickhouse.py PORT FOLDER USER KEY` serves until it is killed; what was acknowledged is in the folder.
"""

import http.server
import re
import sys
import threading
import urllib.parse

from chdb import session

PORT, FOLDER, USER, KEY = int(sys.argv[1]), *sys.argv[2:5]
ENGINE = session.Session(FOLDER)
ONE_AT_A_TIME = threading.Lock()
# Parameters of the interface itself, not of the engine.
OF_THE_INTERFACE = {"query", "wait_end_of_query"}
STATUS = {60: 404, 81: 404, 497: 403, 516: 403, 159: 500, 241: 500}


class Interface(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        parameters = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        shown = (self.headers.get("X-ClickHouse-User"), self.headers.get("X-ClickHouse-Key"))
        if shown != (USER, KEY):
            return self.answer(403, "", 516)
        query = parameters["query"]
        settings = [f"{name} = {quoted(value)}" for name, value in parameters.items()
                    if name not in OF_THE_INTERFACE]
        if query.startswith("INSERT"):
            into, form = query.split(" FORMAT ")
            query = f"{into} SETTINGS {', '.join(settings)} FORMAT {form}\n{body}"
        try:
            with ONE_AT_A_TIME:
                answer = str(ENGINE.query(query))
            self.answer(200, answer)
        except Exception as error:
            code = int((re.search(r"Code: (\d+)", str(error)) or [0, "0"])[1])
            self.answer(STATUS.get(code, 400), str(error), code)

    def answer(self, status, text, code=None):
        data = text.encode()
        self.send_response(status)
        if code is not None:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def quoted(value):
    return value if value.isdigit() else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Interface).serve_forever()
