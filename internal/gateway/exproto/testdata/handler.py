"""An echo handler as people write them: devices' lines come back by the broker.

usage: handler.py DESCRIPTORS unary|stream
DESCRIPTORS holds the interface as a FileDescriptorProto, which takes the place of
generated code. Prints its port, then reads the adapter's address from stdin and
serves until stdin ends.
"""

import concurrent.futures
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "emqx.exproto.v1"


def messages(file):
    with open(file, "rb") as f:
        proto = descriptor_pb2.FileDescriptorProto.FromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(proto)
    factory = message_factory.MessageFactory(pool)
    return {
        m.name: factory.GetPrototype(pool.FindMessageTypeByName(f"{PACKAGE}.{m.name}"))
        for m in proto.message_type
    }


class Adapter:
    def __init__(self, types, address):
        self.types = types
        self.channel = grpc.insecure_channel(address)

    def call(self, method, request, **fields):
        """Returns the code and the text of the answer."""
        rpc = self.channel.unary_unary(
            f"/{PACKAGE}.ConnectionAdapter/{method}",
            request_serializer=self.types[request].SerializeToString,
            response_deserializer=self.types["CodeResponse"].FromString,
        )
        answer = rpc(self.types[request](**fields), timeout=5)
        if answer.code:
            print(f"{method}: {answer.code} {answer.message}", file=sys.stderr)
        return answer


class Handler:
    def __init__(self, types):
        self.types = types
        self.adapter = None

    def OnSocketCreated(self, request):
        self.adapter.call(
            "Authenticate", "AuthenticateRequest", conn=request.conn, password="password",
            clientinfo=self.types["ClientInfo"](
                proto_name="exproto-echo-svr", proto_ver="1.0", clientid="test", username="test"),
        )
        self.adapter.call("Subscribe", "SubscribeRequest", conn=request.conn, topic="test/echo", qos=1)
        self.adapter.call("StartTimer", "TimerRequest", conn=request.conn, type=0, interval=60)

    def OnReceivedBytes(self, request):
        self.adapter.call("Publish", "PublishRequest", conn=request.conn, topic="test/echo", qos=1, payload=request.bytes)

    def OnReceivedMessages(self, request):
        for m in request.messages:
            self.adapter.call("Send", "SendBytesRequest", conn=request.conn, bytes=m.payload)

    def OnTimerTimeout(self, request):
        self.adapter.call("Close", "CloseSocketRequest", conn=request.conn)

    def OnSocketClosed(self, request):
        print("closed", request.reason, flush=True)


METHODS = {
    "OnSocketCreated": "SocketCreatedRequest",
    "OnReceivedBytes": "ReceivedBytesRequest",
    "OnReceivedMessages": "ReceivedMessagesRequest",
    "OnTimerTimeout": "TimerTimeoutRequest",
    "OnSocketClosed": "SocketClosedRequest",
}


def service(handler, types, shape):
    empty = types["EmptySuccess"]

    def unary(method):
        def one(request, context):
            getattr(handler, method)(request)
            return empty()
        return one

    def stream(method):
        def many(requests, context):
            for request in requests:
                getattr(handler, method)(request)
            return empty()
        return many

    make, wrap, name = grpc.unary_unary_rpc_method_handler, unary, "ConnectionUnaryHandler"
    if shape == "stream":
        make, wrap, name = grpc.stream_unary_rpc_method_handler, stream, "ConnectionHandler"
    return grpc.method_handlers_generic_handler(f"{PACKAGE}.{name}", {
        method: make(
            wrap(method),
            request_deserializer=types[request].FromString,
            response_serializer=empty.SerializeToString,
        )
        for method, request in METHODS.items()
    })


def main():
    types = messages(sys.argv[1])
    handler = Handler(types)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers((service(handler, types, sys.argv[2]),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    handler.adapter = Adapter(types, sys.stdin.readline().strip())
    print("ready", flush=True)
    sys.stdin.read()
    server.stop(None).wait()
    handler.adapter.channel.close()


main()
