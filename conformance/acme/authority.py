"""acme2certifier as the authority of a private network: a real ACME server over TLS, in one process.

Two things of a network are stood in for: every name leads to this machine, and port 443 of it to the listener
of the gateway. Writes a line for each request: method and path.
"""

import os
import pathlib
import socketserver
import ssl
import wsgiref.simple_server

FOLDER = pathlib.Path(os.environ["AUTHORITY_FOLDER"])
PORT, LISTENER = int(os.environ["AUTHORITY_PORT"]), int(os.environ["AUTHORITY_LISTENER_PORT"])
CONFIGURATION = f"""[DEFAULT]
debug: False
[Nonce]
nonce_check_disable: False
[CAhandler]
handler_file: {pathlib.Path(__file__).parent / "signer.py"}
[DBhandler]
dbfile: {FOLDER / "acme.db"}
[Challenge]
challenge_validation_timeout: 20
"""
(FOLDER / "acme_srv.cfg").write_text(CONFIGURATION)
os.environ["ACME_SRV_CONFIGFILE"] = str(FOLDER / "acme_srv.cfg")

from acme2certifier.acme_srv import helper  # noqa: E402: it reads its configuration when it is imported

asked = helper.servercert_get


def at_the_listener(logger, hostname, _port=443, proxy_server=None, sni=None, connect_host=None):
    return asked(logger, hostname, LISTENER, proxy_server, sni, connect_host=connect_host)


helper.servercert_get = at_the_listener
helper.fqdn_resolve = lambda *_, **__: ("127.0.0.1", False, None)

from acme2certifier.share.acme2certifier_wsgi import application  # noqa: E402


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def address_string(self):
        return self.client_address[0]

    def log_message(self, *_):
        print(self.command, self.path, flush=True)


server = Server(("127.0.0.1", PORT), Handler)
server.base_environ["HTTPS"] = "on"
server.set_app(application)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(FOLDER / "chain.pem", FOLDER / "key.pem")
# The handshake is of the thread that answers: a connection that says nothing holds up nobody.
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
