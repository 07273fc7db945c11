package main

import (
	"log/slog"

	"github.com/iotctl/iotctl/internal/auth/aclfile"
	"github.com/iotctl/iotctl/internal/auth/certificate"
	"github.com/iotctl/iotctl/internal/auth/passwordfile"
	"github.com/iotctl/iotctl/internal/auth/psk"
	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/gateway"
	gatewayemqtcp "github.com/iotctl/iotctl/internal/gateway/emqtcp"
	gatewayexproto "github.com/iotctl/iotctl/internal/gateway/exproto"
	gatewayframe "github.com/iotctl/iotctl/internal/gateway/frame"
	gatewayiottext "github.com/iotctl/iotctl/internal/gateway/iottext"
	gatewaymqtt "github.com/iotctl/iotctl/internal/gateway/mqtt"
	gatewaymqttsn "github.com/iotctl/iotctl/internal/gateway/mqttsn"
	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/payload/avro"
	"github.com/iotctl/iotctl/internal/payload/cbor"
	"github.com/iotctl/iotctl/internal/payload/compress"
	"github.com/iotctl/iotctl/internal/payload/layout"
	"github.com/iotctl/iotctl/internal/payload/msgpack"
	"github.com/iotctl/iotctl/internal/payload/plain"
	"github.com/iotctl/iotctl/internal/payload/protobuf"
	"github.com/iotctl/iotctl/internal/payload/schema"
	"github.com/iotctl/iotctl/internal/payload/sparkplug"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
	"github.com/iotctl/iotctl/internal/transport"
)

// builtin is the table of what this program is made of: one line per gateway,
// per method of authentication, per store and per command of the control socket.
func builtin() serve.Builtin {
	return serve.Builtin{
		Gateways: []serve.Gateway{
			serve.NewGateway("mqtt", transport.MQTTSchemes(), newMQTT),
			serve.NewGateway(gatewayemqtcp.Protocol, transport.EMQTCPSchemes(), newEMQTCP),
			serve.NewGateway(gatewayiottext.Protocol, transport.TextSchemes(), newIOTText),
			serve.NewGateway(gatewayexproto.Protocol, gatewayexproto.Schemes(), newExProto),
			serve.NewGateway(gatewayframe.Protocol, gatewayframe.Schemes(), newFrame),
			serve.NewGateway(gatewaymqttsn.Protocol, transport.MQTTSNSchemes(), newMQTTSN),
		},
		// A client with a certificate is not asked for a password, where the
		// configuration has both; those that nobody knows ask for approval.
		Methods: []serve.Method{
			serve.NewMethod("certificate", "certificate", serve.WithCertificate, newCertificate),
			serve.NewMethod("psk", "psk", serve.WithPSK, newPSK),
			serve.NewMethod("password_file", "password", serve.Everywhere, newPasswordFile),
			serve.NewMethod(methodPairing, "approval", serve.Strangers, newPairing),
			serve.NewMethod("acl_file", "", serve.Nowhere, newACLFile),
		},
		Stores: []serve.Store{
			serve.NewStore(storePebble, openPebble),
			serve.NewStore(storeMem, openMem),
		},
		Commands: []serve.Command{
			serve.NewCommand(commandStats, answerStats),
			serve.NewCommand(commandBackup, answerBackup),
			serve.NewCommand(commandPairList, answerPairList),
			serve.NewCommand(commandPairApprove, answerPairApprove),
			serve.NewCommand(commandPairReject, answerPairReject),
			serve.NewCommand(commandPairForget, answerPairForget),
			serve.NewCommand(commandPairOpen, answerPairOpen),
		},
	}
}

func newMQTT(e serve.Environment, c gatewaymqtt.Config) (gateway.Gateway, error) {
	c.Authenticator, c.Enhanced, c.Logger = e.Authenticator, e.Enhanced, e.Logger
	return gatewaymqtt.New(c, e.Broker)
}

func newEMQTCP(e serve.Environment, c gatewayemqtcp.Config) (gateway.Gateway, error) {
	c.Authenticator, c.Logger = e.Authenticator, e.Logger
	return gatewayemqtcp.New(c, e.Broker)
}

func newIOTText(e serve.Environment, c gatewayiottext.Config) (gateway.Gateway, error) {
	c.Authenticator, c.Logger = e.Authenticator, e.Logger
	return gatewayiottext.New(c, e.Broker)
}

func newFrame(e serve.Environment, c gatewayframe.Config) (gateway.Gateway, error) {
	c.Authenticator, c.Logger = e.Authenticator, e.Logger
	return gatewayframe.New(c, e.Broker)
}

func newExProto(e serve.Environment, c gatewayexproto.Config) (gateway.Gateway, error) {
	c.Authenticator, c.Logger = e.Authenticator, e.Logger
	return gatewayexproto.New(c, e.Broker)
}

func newMQTTSN(e serve.Environment, c gatewaymqttsn.Config) (gateway.Gateway, error) {
	c.Authenticator, c.Logger = e.Authenticator, e.Logger
	return gatewaymqttsn.New(c, e.Broker)
}

func newCertificate(_ *slog.Logger, c certificate.Config) (serve.Checks, error) {
	return serve.Checks{Authenticator: certificate.New(c)}, nil
}

func newPSK(*slog.Logger, struct{}) (serve.Checks, error) {
	return serve.Checks{Authenticator: psk.New()}, nil
}

func newPasswordFile(_ *slog.Logger, name serve.File) (serve.Checks, error) {
	f, err := passwordfile.New(passwordfile.Config{Path: string(name)})
	if err != nil {
		return serve.Checks{}, err
	}
	return serve.Checks{Authenticator: f}, nil
}

func newACLFile(_ *slog.Logger, name serve.File) (serve.Checks, error) {
	f, err := aclfile.New(aclfile.Config{Path: string(name)})
	if err != nil {
		return serve.Checks{}, err
	}
	return serve.Checks{Authorizer: f}, nil
}

func openMem(*slog.Logger, struct{}) (store.Store, error) { return mem.New(), nil }

// scenarios is the table of what bench can do.
func scenarios() []bench.Spec {
	return append([]bench.Spec{
		bench.Conn(), bench.Pub(), bench.Sub(),
		bench.Pair(), bench.FanIn(), bench.FanOut(), bench.Shared(), bench.Latency(),
		bench.Retained(), bench.Resume(), bench.Storm(), bench.Churn(), bench.Slow(), bench.Will(),
		bench.EMQTCPPair(), bench.Frame(), bench.MQTTSNPub(), bench.MQTTSNSleep(),
	}, bench.MQTTBS()...)
}

// dissectors is the table of what decode can read.
func dissectors() ([]dissect.Dissector, error) {
	frames, err := dissect.Frames()
	return append([]dissect.Dissector{
		dissect.MQTT{},
		dissect.EMQTCP{},
		dissect.IOTText{},
		dissect.MQTTSN{},
		dissect.MQTTSN{Draft: true},
		dissect.COAP{},
		dissect.COAP{Over: dissect.OverTCP},
		dissect.COAP{Over: dissect.OverWebSocket},
	}, frames...), err
}

// payloads is the table of what payloads can be. auto asks its lines in their
// order, so what is told with certainty stands first.
func payloads() []payload.Format {
	all := []payload.Format{
		sparkplug.Format(), // told by the topic
		compress.Gzip(),
		compress.Zstd(),
		compress.Deflate(),
		compress.Brotli(),
		plain.JSON(),
		plain.Text(),
		cbor.Format(),
		msgpack.Format(),
		layout.Format(),
		plain.Base64(),
		plain.UnHex(),
		plain.UnBase64(),
		avro.Raw(),
		avro.Single(),
		avro.Registry(),
		protobuf.Format(),
		schema.Format(),
		plain.Hex(), // auto's last resort
	}
	return append(all, payload.Auto(all))
}
